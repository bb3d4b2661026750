import { S3, type S3ClientConfig } from '@aws-sdk/client-s3'
import { openHoldfast } from 'holdfast'
import { s3 } from 'holdfast/s3'
import { withHoldfast } from 'holdfast/s3-client'

// A process that uses the wrapped client and closes nothing. Its arguments: a directory, and how to reach two clouds.

const [directory = '', clouds = '[]'] = process.argv.slice(2)
const [first, second] = JSON.parse(clouds) as [Parameters<typeof s3>[0], Parameters<typeof s3>[0]]
const store = await openHoldfast({
  directory,
  primary: s3({ ...first, name: 'first', bucket: 'photos' }),
  secondary: s3({ ...second, name: 'second', bucket: 'photos' }),
})
const client = withHoldfast(new S3(first as S3ClientConfig), { photos: store })
await client.putObject({ Bucket: 'photos', Key: 'k', Body: 'kept' })
const { Body } = await client.getObject({ Bucket: 'photos', Key: 'k' })
process.stdout.write(`${await Body?.transformToString()}\n`)
