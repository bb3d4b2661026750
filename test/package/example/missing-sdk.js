import assert from 'node:assert/strict'
import { HoldfastError } from 'holdfast'
import { azure } from 'holdfast/azure'
import { gcs } from 'holdfast/gcs'
import { s3 } from 'holdfast/s3'

// Importing a driver needs no SDK; making a provider does, and says which.
const makers = {
  '@aws-sdk/client-s3': () => s3({ bucket: 'photos', region: 'eu-central-1' }),
  '@google-cloud/storage': () => gcs({ bucket: 'photos' }),
  '@azure/storage-blob': () => azure({ container: 'photos', connectionString: 'UseDevelopmentStorage=true' }),
}
for (const [sdk, make] of Object.entries(makers)) {
  assert.throws(make, error => {
    assert.ok(error instanceof HoldfastError)
    assert.equal(error.code, 'UNSUPPORTED')
    assert.equal(error.rule, 'missing')
    assert.match(error.message, new RegExp(`npm install ${sdk}`))
    console.log(error.message)
    return true
  })
}
