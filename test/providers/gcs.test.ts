import { afterAll, beforeAll, describe, test, vi } from 'vitest'
import { gcs } from '../../src/providers/gcs.ts'
import { prefixed } from '../../src/providers/prefixed.ts'
import { testProvider } from '../../src/testing/conformance.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { bearer, localGcs, localOptions, small, unit } from './gcs-support.ts'

let cloud: LocalCloud
let closed: LocalCloud
let deadEndpoint: string

beforeAll(async () => {
  vi.spyOn(console, 'warn').mockImplementation(text => {
    throw new Error(`the driver made the console speak: ${text}`)
  })
  cloud = await startLocalGcs({ buckets: ['main'] })
  closed = await startLocalGcs({ buckets: ['main'], auth: { token: 'right' } })
  const dead = await startLocalGcs()
  deadEndpoint = dead.endpoint
  await dead.stop()
})

afterAll(() => Promise.all([cloud.stop(), closed.stop()]))

/** Around one request, around one chunk, and an uneven number of chunks. */
const sizes = [4 * unit - 1, 4 * unit, 4 * unit + 1, 6 * unit, 6 * unit + 12_345]

describe('as it is', () => {
  testProvider({
    test,
    name: 'gcs',
    pageProbe: 1100,
    sizes,
    create: async () => ({ provider: localGcs(cloud) }),
    broken: {
      gone: async () => ({ provider: localGcs(cloud, { bucket: 'gone-bucket' }) }),
      denied: async () => ({
        provider: gcs({ bucket: 'main', apiEndpoint: closed.endpoint, authClient: bearer('wrong') }),
      }),
      unreachable: async () => ({ provider: gcs({ bucket: 'main', apiEndpoint: deadEndpoint }) }),
    },
  })
})

describe('under a prefix', () => {
  testProvider({
    test,
    name: 'gcs under a prefix of its own',
    sizes: [4 * unit, 6 * unit + 1],
    create: async () => ({ provider: localGcs(cloud, { prefix: 'some/where/é-' }) }),
  })
  testProvider({
    test,
    name: 'prefixed(gcs)',
    sizes: [4 * unit, 6 * unit + 1],
    create: async () => ({ provider: prefixed(localGcs(cloud), 'else/where/') }),
  })
})

describe('behind faulty', () => {
  testProvider({
    test,
    name: 'faulty(gcs)',
    sizes: [4 * unit, 6 * unit + 1],
    create: async () => ({ provider: faulty(localGcs(cloud), {}) }),
  })
})

describe('everything in parts', () => {
  testProvider({
    test,
    name: 'gcs, each body in parts',
    sizes: [unit - 1, unit, unit + 1],
    create: async () => ({ provider: gcs({ ...localOptions(cloud), ...small, multipartThreshold: 0 }) }),
  })
})
