import { createServer } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { memory } from '../../src/providers/memory.ts'
import { s3 } from '../../src/providers/s3.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { bucket } from '../support/clouds.ts'
import { eventually, testDirectory } from '../support/store.ts'

let cloud: LocalCloud
beforeAll(async () => {
  cloud = await startLocalS3({ buckets: [bucket] })
})
afterAll(() => cloud.stop())

function amazon(options: { endpoint?: string; secret?: string; bucket?: string } = {}): Provider {
  return s3({
    name: 'primary',
    bucket: options.bucket ?? bucket,
    endpoint: options.endpoint ?? cloud.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: cloud.credentials.id, secretAccessKey: options.secret ?? cloud.credentials.secret },
  })
}

/** A port where nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as { port: number }
  await new Promise(resolve => {
    server.close(resolve)
  })
  return port
}

const troubles: readonly {
  readonly what: string
  readonly provider: () => Promise<Provider>
  readonly before?: () => Promise<unknown>
  readonly state: 'blocked' | 'down'
  readonly reason: string
  readonly remedy: RegExp
}[] = [
  {
    what: 'a closed account',
    provider: async () => amazon(),
    before: () => cloud.fault({ fault: { kind: 'status', status: 403, code: 'AllAccessDisabled' } }),
    state: 'blocked',
    reason: 'ACCOUNT',
    remedy: /settle the account/,
  },
  {
    what: 'wrong credentials',
    provider: async () => amazon({ secret: 'not the secret' }),
    state: 'blocked',
    reason: 'CREDENTIALS',
    remedy: /valid credentials/,
  },
  {
    what: 'a missing bucket',
    provider: async () => amazon({ bucket: 'nobody-made-this' }),
    state: 'blocked',
    reason: 'BUCKET',
    remedy: /create the bucket/,
  },
  {
    what: 'no network',
    provider: async () => amazon({ endpoint: `http://127.0.0.1:${await closedPort()}` }),
    state: 'down',
    reason: 'NETWORK',
    remedy: /can be reached/,
  },
]

for (const { what, provider, before, state, reason, remedy } of troubles) {
  test(`with ${what} the store opens at once, takes puts, says ${reason} in status, and check names the remedy (P3)`, async () => {
    await using directory = await testDirectory()
    await before?.()
    try {
      const started = performance.now()
      const store = await directory.open([await provider(), memory({ name: 'b' })])
      const opened = performance.now() - started
      // Far below any time limit of a request: opening waits for nobody.
      expect(opened).toBeLessThan(5_000)
      await store.put('k', 'body')
      expect(await (await store.get('k'))?.text()).toBe('body')
      const told = await eventually(async () => (await store.status()).providers.find(found => found.state === state))
      expect(told).toMatchObject({ name: 'primary', role: 'primary', reason })
      const [found] = await store.check()
      expect(found?.ok).toBe(false)
      expect(found?.findings.join('\n')).toMatch(remedy)
      expect(found?.findings.join('\n')).not.toContain(cloud.credentials.secret)
    } finally {
      await cloud.heal()
    }
  })
}

test('check of providers that work says so, and what they cannot do', async () => {
  await using directory = await testDirectory()
  const store = await directory.open([amazon(), memory({ name: 'b' })])
  const results = await store.check()
  expect(results.map(({ ok }) => ok)).toEqual([true, true])
})
