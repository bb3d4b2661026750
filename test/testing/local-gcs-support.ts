import { Storage, type StorageOptions } from '@google-cloud/storage'
import { digestsOf, hexToBase64 } from '../../src/core/digest.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'

/** The official client at a local cloud, without its own retries, so that each answer is seen as it comes. */
export function clientOf(cloud: LocalCloud, more: StorageOptions = {}): Storage {
  return new Storage({ apiEndpoint: cloud.endpoint, projectId: 'any', retryOptions: { autoRetry: false }, ...more })
}

/** What the official client rejects with: HTTP status as `code`, Google's reasons in `errors`. */
export interface ClientError extends Error {
  readonly code: number | string
  readonly errors?: readonly { readonly reason?: string; readonly message?: string; readonly domain?: string }[]
}

export async function failure(promise: Promise<unknown>): Promise<ClientError> {
  try {
    await promise
  } catch (error) {
    return error as ClientError
  }
  throw new Error('resolved, where a rejection was due')
}

/** Base64, as the API says them. */
export function sums(text: string | Uint8Array): { crc32c: string; md5Hash: string } {
  const { crc32c, md5 } = digestsOf(typeof text === 'string' ? Buffer.from(text) : text)
  return { crc32c: hexToBase64(crc32c), md5Hash: hexToBase64(md5) }
}

/** Bytes of which no stretch is like another. */
export function noise(size: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(size)
  let state = (seed * 2_654_435_761) >>> 0
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** One raw request, redirects not followed. */
export async function ask(
  cloud: LocalCloud,
  method: string,
  path: string,
  { headers = {}, body }: { headers?: Record<string, string>; body?: string | Uint8Array } = {},
): Promise<{ status: number; headers: Headers; text: string }> {
  const answer = await fetch(cloud.endpoint + path, {
    method,
    headers,
    redirect: 'manual',
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : Buffer.from(body) }),
  })
  return { status: answer.status, headers: answer.headers, text: await answer.text() }
}

/** A session for an upload in several requests, by its path. */
export async function session(cloud: LocalCloud, key: string, more = '', description: unknown = {}): Promise<string> {
  const path = `/upload/storage/v1/b/main/o?uploadType=resumable&name=${encodeURIComponent(key)}${more}`
  const begun = await ask(cloud, 'POST', path, {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(description),
  })
  if (begun.status !== 200) throw new Error(`no session: ${begun.status} ${begun.text}`)
  const url = new URL(begun.headers.get('location') ?? '')
  return url.pathname + url.search
}

export async function chunk(
  cloud: LocalCloud,
  at: string,
  range: string,
  body?: Uint8Array,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: Headers; text: string }> {
  const more = { headers: { 'content-range': `bytes ${range}`, ...headers } }
  return await ask(cloud, 'PUT', at, body === undefined ? more : { ...more, body })
}
