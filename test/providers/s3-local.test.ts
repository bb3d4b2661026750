import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { s3 } from '../../src/providers/s3.ts'
import { openS3, type Server, testPlain } from './s3-suite.ts'

let cloud: LocalCloud

beforeAll(async () => {
  cloud = await startLocalS3({ buckets: ['main'] })
})

afterAll(() => cloud.stop())

const server = (): Server => ({
  endpoint: cloud.endpoint,
  credentials: { accessKeyId: cloud.credentials.id, secretAccessKey: cloud.credentials.secret },
})

testPlain(server)

test('it is found to be what Amazon is believed to be (S14)', async () => {
  const learned = await openS3(server()).learn(undefined, AbortSignal.timeout(20_000))
  const amazon = s3({ bucket: 'main', region: 'us-east-1' }).capabilities
  // Of Amazon it is not promised: a bucket there may encrypt, and then the ETag is no digest.
  expect({ ...learned, attests: ['crc32c'] }).toEqual(amazon)
})
