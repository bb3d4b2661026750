import { Storage } from '@google-cloud/storage'
import type { PutRequest } from '../../src/core/provider.ts'
import { noMemo } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { digestsOf } from '../../src/core/digest.ts'
import { gcs, type GcsOptions } from '../../src/providers/gcs.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'

export const unit = 262_144

/** Small enough that tests see both ways of uploading. */
export const small = { multipartThreshold: 4 * unit, partSize: unit } as const

export function localOptions(cloud: LocalCloud, more: Partial<GcsOptions> = {}): GcsOptions {
  return {
    bucket: 'main',
    apiEndpoint: cloud.endpoint,
    credentials: { client_email: cloud.credentials.id, private_key: cloud.credentials.secret },
    ...small,
    ...more,
  }
}

export function localGcs(cloud: LocalCloud, more: Partial<GcsOptions> = {}): ReturnType<typeof gcs> {
  return gcs(localOptions(cloud, more))
}

/** Something that the official client takes for a way to get tokens. */
export function bearer(token: string | (() => Promise<string>)): NonNullable<GcsOptions['authClient']> {
  const authClient = {
    credentials: {},
    async getRequestHeaders() {
      return new Headers({ authorization: `Bearer ${typeof token === 'string' ? token : await token()}` })
    },
  }
  return authClient as unknown as NonNullable<GcsOptions['authClient']>
}

/** A client as a user would make it. */
export function clientAt(cloud: LocalCloud): Storage {
  return new Storage({ apiEndpoint: cloud.endpoint, projectId: 'any' })
}

export function putRequest(key: string, body: string | Uint8Array, more: Partial<PutRequest> = {}): PutRequest {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  return {
    key,
    source: bytesSource(bytes, digestsOf(bytes)),
    headers: { contentType: 'application/octet-stream' },
    metadata: {},
    condition: undefined,
    upload: noMemo,
    ...more,
  }
}

export function patient(): AbortSignal {
  return AbortSignal.timeout(15_000)
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
