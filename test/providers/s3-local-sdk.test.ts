import { afterAll, beforeAll } from 'vitest'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { type Server, testBriefly } from './s3-suite.ts'

let cloud: LocalCloud

beforeAll(async () => {
  cloud = await startLocalS3({ buckets: ['main'] })
})

afterAll(() => cloud.stop())

const server = (): Server => ({
  endpoint: cloud.endpoint,
  credentials: { accessKeyId: cloud.credentials.id, secretAccessKey: cloud.credentials.secret },
})

testBriefly(server, { transport: 'sdk' })
