import { expect, test } from 'vitest'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { s3 } from '../../src/providers/s3.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { bucket } from '../support/clouds.ts'
import { eventually, testDirectory } from '../support/store.ts'

/** Two of the same kind, so that their speeds can be compared. */
async function twoClouds() {
  const clouds = await Promise.all([0, 1].map(() => startLocalS3({ buckets: [bucket], process: 'own' })))
  const [first, second] = clouds as [LocalCloud, LocalCloud]
  const provider = (name: string, { endpoint, credentials }: LocalCloud) =>
    s3({
      name,
      bucket,
      endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: credentials.id, secretAccessKey: credentials.secret },
    })
  return {
    first,
    second,
    providers: () => [provider('first', first), provider('second', second)] as const,
    async [Symbol.asyncDispose]() {
      await Promise.all(clouds.map(cloud => cloud.stop()))
    },
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Milliseconds of each call, one after the other, the stores taking turns, so that the machine's moods hit all alike. */
async function takeTurns(
  stores: Readonly<Record<string, Holdfast>>,
  rounds: number,
  call: (store: Holdfast, round: number) => Promise<unknown>,
) {
  const times: Record<string, number[]> = {}
  for (let round = 0; round < rounds; round++) {
    for (const [name, store] of Object.entries(stores)) {
      const started = performance.now()
      await call(store, round)
      ;(times[name] ??= []).push(performance.now() - started)
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, values]) => [name, median(values)]))
}

test('a put with both clouds silent is as fast as with both healthy, and as with replication elsewhere (N2, I11)', async () => {
  await using healthyDirectory = await testDirectory()
  await using silentDirectory = await testDirectory()
  await using externalDirectory = await testDirectory()
  await using healthyClouds = await twoClouds()
  await using silentClouds = await twoClouds()
  const stores = {
    healthy: await healthyDirectory.open(healthyClouds.providers()),
    silent: await silentDirectory.open(silentClouds.providers()),
    external: await externalDirectory.open(healthyClouds.providers(), { replication: { run: 'external' } }),
  }
  // Not refused: accepted, and never answered.
  await silentClouds.first.fault({ fault: { kind: 'stall' } })
  await silentClouds.second.fault({ fault: { kind: 'stall' } })
  const body = Buffer.alloc(4096, 'x')
  const put = (store: Holdfast, round: number) => store.put(`k${round}`, body)
  await takeTurns(stores, 20, put)
  let best = { healthy: Number.POSITIVE_INFINITY, external: Number.POSITIVE_INFINITY }
  // Others use the machine too: one quiet run of five is enough to show that nothing waits for a cloud.
  for (let run = 0; run < 5 && (best.healthy > 1.3 || best.external > 1.3); run++) {
    const { healthy = 0, silent = 0, external = 0 } = await takeTurns(stores, 150, put)
    console.log(
      `put, median ms: healthy ${healthy.toFixed(2)}, silent ${silent.toFixed(2)}, external ${external.toFixed(2)}`,
    )
    best = { healthy: Math.min(best.healthy, silent / healthy), external: Math.min(best.external, silent / external) }
  }
  console.log(`ratios: silent/healthy ${best.healthy.toFixed(2)}, silent/external ${best.external.toFixed(2)}`)
  expect(best.healthy).toBeLessThanOrEqual(1.3)
  expect(best.external).toBeLessThanOrEqual(1.3)
}, 120_000)

test('a get with the primary silent is answered by the secondary after the first-byte deadline, and at healthy speed once the breaker is open (N2, I11)', async () => {
  await using healthyDirectory = await testDirectory()
  await using silentDirectory = await testDirectory()
  await using healthyClouds = await twoClouds()
  await using silentClouds = await twoClouds()
  const firstByteMs = 500
  const stores = {
    healthy: await healthyDirectory.open(healthyClouds.providers(), { reads: { firstByteMs } }),
    silent: await silentDirectory.open(silentClouds.providers(), { reads: { firstByteMs } }),
  }
  for (const store of Object.values(stores)) {
    for (let i = 0; i < 10; i++) await store.put(`k${i}`, Buffer.alloc(4096, i))
    await store.drain({ until: 'verified' })
    await eventually(async () => (await store.status()).done === 10)
  }
  const get = async (store: Holdfast, round: number) => {
    const got = await store.get(`k${round % 10}`)
    expect((await got?.bytes())?.every(byte => byte === round % 10)).toBe(true)
    return got?.from
  }
  await silentClouds.first.fault({ fault: { kind: 'stall' } })
  for (let i = 0; i < 3; i++) {
    const started = performance.now()
    expect(await get(stores.silent, i)).toBe('second')
    expect(performance.now() - started).toBeLessThan(firstByteMs + 2_000)
  }
  let best = Number.POSITIVE_INFINITY
  for (let run = 0; run < 5 && best > 1.3; run++) {
    const { healthy = 0, silent = 0 } = await takeTurns(stores, 150, get)
    console.log(`get, median ms: healthy ${healthy.toFixed(2)}, primary silent ${silent.toFixed(2)}`)
    best = Math.min(best, silent / healthy)
  }
  expect(best).toBeLessThanOrEqual(1.3)
}, 120_000)
