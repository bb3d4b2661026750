import { randomBytes } from 'node:crypto'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { prefixed } from '../../src/providers/prefixed.ts'
import { s3, type S3Options } from '../../src/providers/s3.ts'
import { testProvider } from '../../src/testing/conformance.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'

export interface Server {
  readonly endpoint: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
}

export const mebibyte: number = 2 ** 20

/** The local S3 with a bucket `main`, for as long as the tests of this file run. */
export function localServer(): () => Server {
  let cloud: LocalCloud
  beforeAll(async () => {
    cloud = await startLocalS3({ buckets: ['main'] })
  })
  afterAll(() => cloud?.stop())
  return () => ({
    endpoint: cloud.endpoint,
    credentials: { accessKeyId: cloud.credentials.id, secretAccessKey: cloud.credentials.secret },
  })
}

export async function createBucket({ endpoint, credentials }: Server, name: string): Promise<void> {
  const admin = new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true })
  await admin.send(new CreateBucketCommand({ Bucket: name }))
  admin.destroy()
}

/** In parts from 6 MiB up, each of the least size that S3 takes. */
export function openS3({ endpoint, credentials }: Server, more: Partial<S3Options> = {}): Provider {
  const sizes = { multipartThreshold: 6 * mebibyte, partSize: 5 * mebibyte }
  return s3({ bucket: 'main', endpoint, credentials, ...sizes, ...more })
}

/** The provider contract on this server's bucket `main`, with all that can be made to be wrong. */
export function testPlain(server: () => Server, more: Partial<S3Options> = {}): void {
  testProvider({
    test,
    name: 'plain',
    pageProbe: 1100,
    sizes: [mebibyte, mebibyte + 1, 6 * mebibyte, 6 * mebibyte + 1, 11 * mebibyte],
    create: async () => ({ provider: openS3(server(), more) }),
    broken: {
      gone: async () => ({ provider: openS3(server(), { ...more, bucket: 'nobody-has-this' }) }),
      denied: async () => ({
        provider: openS3(server(), { ...more, credentials: { accessKeyId: 'nobody', secretAccessKey: 'knows' } }),
      }),
      unreachable: async () => ({ provider: openS3(server(), { ...more, endpoint: 'http://127.0.0.1:1' }) }),
    },
  })
}

/** The same, without what takes long and is the same for either transport: pages and parts. */
export function testBriefly(server: () => Server, more: Partial<S3Options>): void {
  testProvider({
    test,
    name: 'briefly',
    sizes: [mebibyte, mebibyte + 1],
    create: async () => ({ provider: openS3(server(), more) }),
  })
}

/** The same behind what wraps providers. */
export function testWrapped(server: () => Server): void {
  const sizes = [11 * mebibyte]
  const prefix = `some/where ${randomBytes(4).toString('hex')}/`
  const create = (provider: () => Provider) => async () => ({ provider: provider() })
  testProvider({ test, name: 'behind a prefix', sizes, create: create(() => prefixed(openS3(server()), prefix)) })
  testProvider({ test, name: 'without faults', sizes, create: create(() => faulty(openS3(server()), {})) })
}
