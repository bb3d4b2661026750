import { BlobServiceClient } from '@azure/storage-blob'
import { describe, expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { azure } from '../../src/providers/azure.ts'
import { gcs } from '../../src/providers/gcs.ts'
import { memory } from '../../src/providers/memory.ts'
import { s3 } from '../../src/providers/s3.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { startAzurite } from '../servers/azurite.ts'
import { eventually, keysOf, testDirectory } from '../support/store.ts'
import { azureRefusal, s3Refusal, startProxy, type Told } from './proxy.ts'

interface Storm {
  readonly row: string
  readonly what: string
  start(): Promise<{ server: AsyncDisposable; endpoint: string; open(at: string): Provider }>
  /** What every request is told while it lasts. */
  says(): Told
  /** Asked for, milliseconds; undefined: nothing. */
  readonly retryAfterMs: number | undefined
  /** Requests while it lasts. */
  readonly most: number
}

const writes = 60
const lastsMs = 2_500
/** `replication.concurrency`. */
const mostInFlight = 16

const aheadMs = 2_000
/** As of now, by the clock of the service: a date in whole seconds. */
const dated = (): Record<string, string> => ({
  date: new Date().toUTCString(),
  'retry-after': new Date(Date.now() + aheadMs).toUTCString(),
})

const amazon = async () => {
  const server = await startLocalS3({ buckets: ['main'] })
  const { id: accessKeyId, secret: secretAccessKey } = server.credentials
  const credentials = { accessKeyId, secretAccessKey }
  return {
    server,
    endpoint: server.endpoint,
    open: (endpoint: string) => s3({ bucket: 'main', endpoint, credentials }),
  }
}

const google = async () => {
  const server = await startLocalGcs({ buckets: ['main'] })
  const open = (apiEndpoint: string) => gcs({ bucket: 'main', apiEndpoint, projectId: 'any' })
  return { server, endpoint: server.endpoint, open }
}

const microsoft = async () => {
  const server = await startAzurite()
  await BlobServiceClient.fromConnectionString(server.connectionString).getContainerClient('main').create()
  const { accountName, accountKey } = server
  const open = (at: string) => azure({ container: 'main', endpoint: `${at}/${accountName}`, accountName, accountKey })
  return { server, endpoint: server.endpoint, open }
}

const googleRefusal = (status: number, reason: string, headers: Record<string, string> = {}): Told => ({
  status,
  headers: { 'x-guploader-uploadid': 'x', 'content-type': 'application/json', ...headers },
  body: JSON.stringify({ error: { code: status, message: 'Slow down.', errors: [{ reason, message: 'Slow down.' }] } }),
})

const seconds = { 'retry-after': '1' }
const storms: readonly Storm[] = [
  {
    row: 'S1',
    what: 'S3, 503, Retry-After in seconds',
    start: amazon,
    says: () => s3Refusal(503, 'SlowDown', seconds),
    retryAfterMs: 1_000,
    most: 50,
  },
  {
    row: 'S1',
    what: 'S3, 503, Retry-After as a date',
    start: amazon,
    says: () => s3Refusal(503, 'SlowDown', dated()),
    retryAfterMs: aheadMs - 1_000,
    most: 50,
  },
  {
    row: 'G1',
    what: 'Google, 429, Retry-After in seconds',
    start: google,
    says: () => googleRefusal(429, 'rateLimitExceeded', seconds),
    retryAfterMs: 1_000,
    most: 50,
  },
  {
    row: 'G2',
    what: 'Google, 500, nothing asked',
    start: google,
    says: () => googleRefusal(500, 'internalError'),
    retryAfterMs: undefined,
    most: 50,
  },
  {
    row: 'A1',
    what: 'Azure, 429, nothing asked',
    start: microsoft,
    says: () => azureRefusal(429, 'TooManyRequests'),
    retryAfterMs: undefined,
    most: 50,
  },
]

describe.concurrent(`a storm of ${lastsMs / 1000} s over ${writes} writes`, () => {
  test.each(storms)(
    '$what: few requests, none before the time that was asked for, and all drains ($row, I29, I33)',
    async ({ start, says, retryAfterMs, most }) => {
      const { server, endpoint, open } = await start()
      await using _server = server
      await using proxy = await startProxy(endpoint)
      await using directory = await testDirectory()
      const provider = open(proxy.endpoint)
      const store = await directory.open([provider, memory({ name: 'other' })])
      await eventually(async () => (await store.status()).providers[0]?.state === 'up', 30_000)
      const asked: number[] = []
      proxy.rule = () => {
        asked.push(performance.now())
        return { passes: false, tells: says() }
      }
      for (let i = 0; i < writes; i++) await store.put(`k${i}`, `body ${i}`)
      await new Promise(resolve => setTimeout(resolve, lastsMs))
      const { accepted, blocked, pending } = await store.status()
      expect([accepted, blocked.writes, pending.writes]).toEqual([writes, 0, writes])
      expect(asked.length).toBeLessThan(most)
      if (retryAfterMs !== undefined) {
        // What is in flight when the first answer comes is told the same; from then on there is a pause.
        const first = asked[0] ?? 0
        const early = asked.filter(at => at < first + retryAfterMs - 50)
        expect(early.length).toBeLessThanOrEqual(mostInFlight)
      }
      proxy.rule = () => undefined
      await store.drain({ until: 'verified' })
      expect((await keysOf(provider)).length).toBe(writes)
    },
    300_000,
  )
})
