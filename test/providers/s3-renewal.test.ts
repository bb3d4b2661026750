import type { S3Client } from '@aws-sdk/client-s3'
import { expect, test } from 'vitest'
import { renewalOf } from '../../src/providers/s3/credentials.ts'

const clientOf = (credentials: unknown): S3Client => ({ config: { credentials } }) as unknown as S3Client

test('credentials that do not come, or a client that has none to fetch, end no request: what is wrong shows when it is signed (S5)', async () => {
  const failing = [
    () => Promise.reject(new Error('no answer')),
    () => {
      throw new Error('at once')
    },
    undefined,
  ]
  for (const credentials of failing) {
    const renewal = renewalOf(clientOf(credentials))
    renewal.refused()
    await renewal.renew()
    expect(renewal.isDue).toBe(false)
  }
})
