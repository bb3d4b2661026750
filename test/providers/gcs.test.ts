import { afterAll, beforeAll, test } from 'vitest'
import { gcs } from '../../src/providers/gcs.ts'
import { testProvider } from '../../src/testing/conformance.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'

let cloud: LocalCloud

beforeAll(async () => {
  cloud = await startLocalGcs({ buckets: ['main'] })
})

afterAll(() => cloud.stop())

testProvider({
  test,
  name: 'gcs',
  pageProbe: 1100,
  sizes: [1_048_575, 1_048_576, 1_048_577, 1_572_864, 1_700_000],
  create: async () => ({
    provider: gcs({
      bucket: 'main',
      apiEndpoint: cloud.endpoint,
      credentials: { client_email: cloud.credentials.id, private_key: cloud.credentials.secret },
      multipartThreshold: 1_048_576,
      partSize: 262_144,
    }),
  }),
})
