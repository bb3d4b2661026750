import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { digestsOf } from '../../src/core/digest.ts'
import { noMemo, type Provider, type PutRequest } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { azure } from '../../src/providers/azure.ts'
import { gcs } from '../../src/providers/gcs.ts'
import { s3 } from '../../src/providers/s3.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { bearer } from '../providers/gcs-support.ts'
import { startAzurite } from '../servers/azurite.ts'
import type { Head } from './messages.ts'

/** One of the three, by what a test needs to put a network before it. */
export interface Cloud extends AsyncDisposable {
  readonly name: CloudName
  /** Where it listens, in the clear. */
  readonly port: number
  /** The driver with a client of its own, at this origin. */
  provider(origin: string, more?: ProviderOptions): Provider
  /** Whether a request carries the body of an object, in one piece or in several. */
  carriesBody(head: Head): boolean
  /** An answer that only the service gives, for lies with the right headers. */
  readonly proof: Readonly<Record<string, string>>
  /** What must be nowhere but at the service: parts of secrets, as they would be on the wire. */
  readonly secrets: readonly string[]
}

export type CloudName = 's3' | 'gcs' | 'azure'

export interface ProviderOptions {
  /** The bucket. Default `photos`; made at the start: those of `startCloud`. */
  readonly bucket?: string
  /** Of an origin that is not this machine. */
  readonly allowInsecure?: boolean
  /** Bodies of over 256 KiB go up in parts, where the service allows parts that small. */
  readonly inParts?: boolean
}

const starters: Readonly<Record<CloudName, (buckets: readonly string[]) => Promise<Cloud>>> = {
  async s3(buckets) {
    const local = await startLocalS3({ buckets, process: 'own' })
    const { id, secret } = local.credentials
    return {
      name: 's3',
      port: local.port,
      provider: (endpoint, { bucket = 'photos', allowInsecure = false, inParts = false } = {}) =>
        s3({
          name: 's3',
          bucket,
          endpoint,
          region: 'us-east-1',
          forcePathStyle: true,
          allowInsecure,
          credentials: { accessKeyId: id, secretAccessKey: secret },
          ...(inParts ? { multipartThreshold: 5 * 2 ** 20, partSize: 5 * 2 ** 20 } : {}),
        }),
      carriesBody: ({ method, path }) => method === 'PUT' && !path.includes('.holdfast'),
      proof: { 'x-amz-request-id': 'TX0001', 'x-amz-id-2': 'abc' },
      secrets: ['AWS4-HMAC-SHA256', id, secret],
      [Symbol.asyncDispose]: () => local.stop(),
    }
  },
  async gcs(buckets) {
    const token = 'canary-token-of-google'
    const local = await startLocalGcs({ buckets: [...buckets], process: 'own', auth: { token } })
    return {
      name: 'gcs',
      port: local.port,
      provider: (apiEndpoint, { bucket = 'photos', allowInsecure = false, inParts = false } = {}) =>
        gcs({
          name: 'gcs',
          bucket,
          apiEndpoint,
          authClient: bearer(token),
          allowInsecure,
          ...(inParts ? { multipartThreshold: 262_144, partSize: 262_144 } : {}),
        }),
      carriesBody: ({ method, path }) =>
        (method === 'POST' || method === 'PUT') && path.startsWith('/upload') && !path.includes('.holdfast'),
      proof: { 'x-guploader-uploadid': 'ADPycd' },
      secrets: ['Bearer', token],
      [Symbol.asyncDispose]: () => local.stop(),
    }
  },
  async azure(buckets) {
    const emulator = await startAzurite()
    const { accountName, accountKey, endpoint } = emulator
    const service = new BlobServiceClient(endpoint, new StorageSharedKeyCredential(accountName, accountKey))
    for (const bucket of buckets) await service.createContainer(bucket)
    return {
      name: 'azure',
      port: emulator.port,
      provider: (origin, { bucket = 'photos', allowInsecure = false, inParts = false } = {}) =>
        azure({
          name: 'azure',
          container: bucket,
          endpoint: `${origin}/${accountName}`,
          accountName,
          accountKey,
          allowInsecure,
          ...(inParts ? { singleShotBytes: 262_144, blockSize: 2 ** 20 } : {}),
        }),
      carriesBody: ({ method, path }) => method === 'PUT' && !path.includes('.holdfast'),
      proof: { 'x-ms-request-id': '11111111-2222-3333-4444-555555555555', 'x-ms-version': '2026-10-06' },
      secrets: ['SharedKey', accountKey],
      [Symbol.asyncDispose]: () => emulator.stop(),
    }
  },
}

export const cloudNames = ['s3', 'gcs', 'azure'] as const satisfies readonly CloudName[]

export function startCloud(name: CloudName, buckets: readonly string[] = ['photos']): Promise<Cloud> {
  return starters[name](buckets)
}

export function putOf(key: string, body: string | Uint8Array, more: Partial<PutRequest> = {}): PutRequest {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  return {
    key,
    source: bytesSource(bytes, digestsOf(bytes)),
    headers: { contentType: 'text/plain' },
    metadata: {},
    condition: undefined,
    upload: noMemo,
    ...more,
  }
}

export const whole = (key: string): { key: string; range: undefined; token: undefined } => ({
  key,
  range: undefined,
  token: undefined,
})

export type Run = (from: Provider, key: string, signal: AbortSignal) => Promise<unknown>

/** One of each, for what is true of all. */
export const calls: Readonly<Record<string, Run>> = {
  put: (from, key, signal) => from.put(putOf(key, 'body'), signal),
  head: (from, key, signal) => from.head(key, signal),
  async get(from, key, signal) {
    const found = await from.get(whole(key), signal)
    const chunks: Uint8Array[] = []
    for await (const chunk of found?.body ?? []) chunks.push(chunk)
    return found && Buffer.concat(chunks)
  },
  async list(from, key, signal) {
    const entries: unknown[] = []
    for await (const entry of from.list({ prefix: key, delimiter: '', startAfter: '' }, signal)) entries.push(entry)
    return entries
  },
  delete: (from, key, signal) => from.delete(key, undefined, signal),
}

/** Calls after which nobody knows whether something changed. */
export const isWrite = (call: string): boolean => call === 'put' || call === 'delete'

/** Whether a request only asks. */
export const isRead = ({ method }: Head): boolean => method === 'GET' || method === 'HEAD'

/** Whether a request is for the bytes of the object `large`, not for what is said of it. */
export function isBody(name: CloudName): (head: Head) => boolean {
  return ({ method, path }: Head): boolean =>
    method === 'GET' && path.includes('large') && (name !== 'gcs' || path.includes('alt=media'))
}
