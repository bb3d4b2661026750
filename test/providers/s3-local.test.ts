import { expect, test } from 'vitest'
import { s3 } from '../../src/providers/s3.ts'
import { localServer, openS3, testPlain } from './s3-suite.ts'

const server = localServer()

testPlain(server)

test('it is found to be what Amazon is believed to be (S14)', async () => {
  const learned = await openS3(server()).learn(undefined, AbortSignal.timeout(20_000))
  const amazon = s3({ bucket: 'main', region: 'us-east-1' }).capabilities
  // Of Amazon it is not promised: a bucket there may encrypt, and then the ETag is no digest.
  expect({ ...learned, attests: ['crc32c'] }).toEqual(amazon)
})
