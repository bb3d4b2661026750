import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openHoldfast } from 'holdfast'
import { gcs } from 'holdfast/gcs'
import { s3 } from 'holdfast/s3'
import { startLocalGcs, startLocalS3 } from 'holdfast/testing'

// Clouds in processes of their own: the packed files that they are made of must be there too.
const buckets = ['photos']
const amazon = await startLocalS3({ buckets, process: 'own' })
const google = await startLocalGcs({ buckets, process: 'own' })

const home = await mkdtemp(join(import.meta.dirname, 'store-'))
const { id: accessKeyId, secret: secretAccessKey } = amazon.credentials
const providers = [
  s3({
    bucket: 'photos',
    endpoint: amazon.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  }),
  gcs({ bucket: 'photos', apiEndpoint: google.endpoint, projectId: 'example' }),
]
const [primary, secondary] = providers
const photo = Buffer.alloc(1_000_000, 'jpeg')
{
  const store = await openHoldfast({ directory: join(home, 'store'), primary, secondary, holdMs: 0 })
  await store.put('photo.jpg', photo, { contentType: 'image/jpeg' })
  await store.drain({ until: 'verified' })
  assert.deepEqual(Buffer.from(await (await store.get('photo.jpg')).bytes()), photo)
  await store.close()
}
for (const cloud of [amazon, google]) {
  const wrote = (await cloud.requests()).filter(
    ({ key, method }) => key === 'photo.jpg' && method !== 'GET' && method !== 'HEAD',
  )
  assert.ok(wrote.length > 0, `${cloud.endpoint} was sent the photo`)
}
await Promise.all([amazon.stop(), google.stop()])
await rm(home, { recursive: true })
console.log('a photo is on both clouds')
