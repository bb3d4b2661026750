import { expect, test, vi } from 'vitest'
import { s3 } from '../../src/providers/s3.ts'
import { errorOf, secrets } from './s3-recorder.ts'

const presigner = '@aws-sdk/s3-request-presigner'

// It is installed wherever the tests run.
vi.mock(import('../../src/core/sdk.ts'), async original => {
  const real = await original()
  return { ...real, hasSdk: name => name !== presigner && real.hasSdk(name) }
})

test('without the package that signs, S3 signs nothing, and says what to install', async () => {
  const provider = s3({ bucket: 'main', region: 'us-east-1', credentials: secrets })
  expect(provider.capabilities.sign).toBe(false)
  const request = { method: 'GET', key: 'k', expiresInSeconds: 60 } as Parameters<typeof provider.sign>[0]
  expect(await errorOf(provider.sign(request, AbortSignal.timeout(5_000)))).toMatchObject({
    code: 'UNSUPPORTED',
    key: 'k',
    outcome: 'rejected',
    message: expect.stringContaining(`npm install ${presigner}`),
  })
})
