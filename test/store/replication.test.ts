import { expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { accountClosed, type Faults, outage } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'

function pair() {
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  return { faults, inner, a: faulty(inner, faults), b: memory({ name: 'b' }) }
}

async function putPast(provider: Provider, key: string, text: string): Promise<void> {
  const bytes = Buffer.from(text)
  const source = bytesSource(bytes, digestsOf(bytes))
  await provider.put(
    { key, source, headers: { contentType: 'text/plain' }, metadata: {}, condition: undefined, upload: noMemo },
    AbortSignal.timeout(5_000),
  )
}

test('a primary that hangs delays neither acks nor the secondary, and gets everything when it is back (N2, I11, I33)', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = pair()
  const store = await directory.open([a, b])
  faults.rules = [{ fault: { kind: 'hang' } }]
  for (let i = 0; i < 20; i++) await store.put(`k${i}`, `body ${i}`, { ack: 'one', metadata: { i: String(i) } })
  expect((await keysOf(b)).length).toBe(20)
  expect((await store.status()).pending.writes).toBe(20)
  // Calls that hang are given up after half a minute; a restart does not wait for them.
  await store.close()
  faults.rules = []
  const again = await directory.open([a, b])
  await again.drain({ until: 'verified' })
  expect((await keysOf(inner)).length).toBe(20)
})

test('a provider that takes everything but the mark that somebody replicates to it gets everything else', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = pair()
  faults.rules = [{ on: 'put', key: '.holdfast/attended', fault: outage }]
  const store = await directory.open([a, b])
  await (await store.put('k', 'body')).replicated({ until: 'verified' })
  expect(faults.calls?.filter(({ operation, key }) => operation === 'put' && key === '.holdfast/attended')).not.toEqual(
    [],
  )
  expect((await bodyAt(inner, 'k'))?.toString()).toBe('body')
  expect(await bodyAt(inner, '.holdfast/attended')).toBeUndefined()
})

test('a network that is down opens the breaker, shows in status, and drains by itself when it is back (N1, I29, I33)', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = pair()
  const store = await directory.open([a, b])
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  faults.rules = [{ fault: outage }]
  faults.calls = []
  for (let i = 0; i < 200; i++) await store.put(`k${i}`, `body ${i}`)
  await eventually(async () => (await store.status()).providers[0]?.state === 'down')
  expect((await store.status()).providers[0]).toMatchObject({ state: 'down', reason: 'NETWORK' })
  // Every request to the one that is down is a retry or a probe: few, whatever waits.
  expect(faults.calls.length).toBeLessThan(100)
  faults.rules = []
  await store.drain({ until: 'verified' })
  expect((await keysOf(inner)).length).toBe(200)
  expect((await store.status()).providers[0]?.state).toBe('up')
}, 60_000)

test('a provider that comes back is given one thing, then two: never all that waits at once (P7)', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = pair()
  const store = await directory.open([a, b], { replication: { concurrency: 64 } })
  // It bears 64 at once, and was given them.
  faults.rules = [{ on: 'put', fault: { kind: 'slow', ms: 10 } }]
  await Promise.all(Array.from({ length: 2_000 }, (_, i) => store.put(`k${i % 500}/${i}`, `body ${i}`)))
  await store.drain()
  faults.rules = [{ fault: outage }]
  await Promise.all(Array.from({ length: 300 }, (_, i) => store.put(`k${i}`, `body ${i}`)))
  await eventually(async () => (await store.status()).providers[0]?.state === 'down')
  faults.calls = []
  faults.rules = [{ on: 'put', fault: { kind: 'slow', ms: 30 } }]
  const startsWithin = (ms: number) => {
    const puts = (faults.calls ?? []).filter(({ operation, state }) => operation === 'put' && state === 'resolved')
    const first = puts[0]?.at ?? Number.POSITIVE_INFINITY
    return puts.filter(({ at }) => at < first + ms).length
  }
  await store.drain()
  expect((await keysOf(inner)).length).toBe(2_300)
  // The probe, a few last tries of what was in flight when it went down, then rounds of 1, 2, 4 …: never 64 at once.
  expect(startsWithin(25)).toBeLessThanOrEqual(8)
  expect(startsWithin(90)).toBeLessThanOrEqual(32)
}, 60_000)

test('a closed account blocks the provider with its reason, counts what it is owed as blocked, and goes on when it is open again (P8)', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = pair()
  faults.rules = [{ fault: accountClosed }]
  const store = await directory.open([a, b])
  const receipt = await store.put('k', 'body')
  await eventually(async () => (await store.status()).blocked.writes === 1)
  const status = await store.status()
  expect(status.blocked.reasons).toEqual([{ provider: 'a', reason: 'ACCOUNT', writes: 1 }])
  expect(status.providers[0]).toMatchObject({ state: 'blocked', reason: 'ACCOUNT' })
  await expect(receipt.replicated()).rejects.toMatchObject({ code: 'BLOCKED', provider: 'a', reason: 'ACCOUNT' })
  await expect(store.drain()).rejects.toMatchObject({ code: 'BLOCKED', provider: 'a' })
  expect(await (await store.get('k'))?.text()).toBe('body')
  const [found] = await store.check()
  expect(found).toMatchObject({ provider: 'a', ok: false })
  expect(found?.findings.join()).toMatch(/account/i)
  faults.rules = []
  await eventually(async () => (await store.status()).providers[0]?.state === 'up', 20_000)
  await store.drain()
  expect((await bodyAt(inner, 'k'))?.toString()).toBe('body')
}, 30_000)

test('one key that is forbidden blocks only itself: a canary tells it from a forbidden account', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = pair()
  faults.rules = [{ on: 'put', key: 'forbidden', fault: { kind: 'fail', code: 'DENIED', reason: 'FORBIDDEN' } }]
  const store = await directory.open([a, b])
  await store.put('forbidden', 'body')
  const allowed = await store.put('allowed', 'body')
  await allowed.replicated()
  await eventually(async () => (await store.status()).blocked.writes === 1)
  const status = await store.status()
  expect(status.providers[0]?.state).toBe('up')
  expect(status.blocked.reasons).toEqual([{ provider: 'a', reason: 'FORBIDDEN', writes: 1 }])
  expect(await keysOf(inner)).toEqual(['allowed'])
  expect((await keysOf(inner)).length).toBe(1)
})

test('a copy that a provider acknowledged and does not have is found by the second look and sent again (I18, I48)', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = pair()
  faults.rules = [{ on: 'put', key: 'k', times: 1, fault: { kind: 'lie' } }]
  const store = await directory.open([a, b])
  const lost: string[] = []
  store.on('lost', ({ key, provider }) => lost.push(`${key} at ${provider}`))
  const receipt = await store.put('k', 'body')
  await receipt.replicated({ until: 'verified' })
  expect(lost).toEqual(['k at a'])
  expect((await bodyAt(inner, 'k'))?.toString()).toBe('body')
})

test('a copy with other bytes, or without its attributes, does not pass the second look (I18, I36, I48)', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = pair()
  faults.rules = [
    { on: 'put', key: 'bytes', times: 1, fault: { kind: 'corrupt', atByte: 2 } },
    { on: 'put', key: 'attributes', times: 1, fault: { kind: 'strip' } },
  ]
  const store = await directory.open([a, b])
  for (const key of ['bytes', 'attributes']) await store.put(key, 'body', { metadata: { of: key } })
  await store.drain({ until: 'verified' })
  for (const key of ['bytes', 'attributes']) {
    expect((await bodyAt(inner, key))?.toString()).toBe('body')
    expect({ ...(await store.head(key))?.metadata }).toEqual({ of: key })
  }
})

test('a bucket that was emptied is not filled again by second looks: it blocks with IDENTITY, and nothing is written (P6, I28)', async () => {
  await using directory = await testDirectory()
  const { faults, a, b } = pair()
  const store = await directory.open([a, b], { holdMs: 1_500 })
  for (let i = 0; i < 10; i++) await store.put(`k${i}`, 'body')
  await store.drain()
  // From now on the bucket is another one: nothing of ours is in it.
  faults.rules = [{ on: ['head', 'get'], fault: { kind: 'absent' } }]
  faults.calls = []
  await eventually(async () => (await store.status()).providers[0]?.state === 'blocked')
  expect((await store.status()).providers[0]).toMatchObject({ reason: 'IDENTITY' })
  expect(faults.calls.filter(({ operation }) => operation === 'put' || operation === 'delete')).toEqual([])
  expect((await store.status()).stage.bytes).toBeGreaterThan(0)
  expect((await store.status()).held.writes).toBe(10)
  // The second looks at the secondary are had; those at the primary cannot come.
  await expect(store.drain({ until: 'verified' })).rejects.toMatchObject({
    code: 'BLOCKED',
    provider: 'a',
    reason: 'IDENTITY',
  })
  faults.rules = []
  await eventually(async () => (await store.status()).providers[0]?.state === 'up', 20_000)
  await store.drain({ until: 'verified' })
}, 60_000)

test('a lost answer leads to one write, not two: the provider is asked before anything is sent again (N6, I15)', async () => {
  await using directory = await testDirectory()
  const { faults, a, b } = pair()
  const store = await directory.open([a, b])
  faults.rules = [{ on: 'put', key: 'k', times: 1, fault: { kind: 'lose-answer' } }]
  faults.calls = []
  const receipt = await store.put('k', 'body')
  await receipt.replicated({ until: 'verified' })
  expect(faults.calls.filter(({ operation, key }) => operation === 'put' && key === 'k').length).toBe(1)
})

test('a put that a provider applies only after a later delete does not bring the key back (N7, I13)', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = pair()
  const store = await directory.open([a, b], { holdMs: 1_000 })
  faults.rules = [{ on: 'put', key: 'k', times: 1, fault: { kind: 'late', ms: 600 } }]
  faults.calls = []
  await store.put('k', 'zombie')
  await eventually(() => faults.calls?.some(({ operation, key }) => operation === 'put' && key === 'k'))
  const deleted = await store.delete('k')
  await deleted.replicated()
  await faults.calls.find(call => call.applied !== undefined)?.applied
  await deleted.replicated({ until: 'verified' })
  expect(await keysOf(inner)).toEqual([])
  expect(await keysOf(b)).toEqual([])
  expect(await store.get('k')).toBeUndefined()
}, 30_000)

test('an object written past Holdfast that is newer than ours is taken in and mirrored, or only reported (I17)', async () => {
  for (const foreign of ['adopt', 'report'] as const) {
    await using directory = await testDirectory()
    const { faults, inner, a, b } = pair()
    const store = await directory.open([a, b], { foreign })
    const seen: string[] = []
    store.on('foreign', ({ key, provider }) => seen.push(`${key} at ${provider}`))
    // It arrives between our commit and our request.
    faults.rules = [
      {
        on: 'put',
        key: 'k',
        times: 1,
        fault: {
          kind: 'before',
          run: async () => {
            await new Promise(resolve => setTimeout(resolve, 5))
            await putPast(inner, 'k', 'theirs')
          },
        },
      },
    ]
    await store.put('k', 'ours')
    await eventually(() => seen.length > 0)
    await store.drain({ until: 'verified' })
    expect(seen).toEqual(['k at a'])
    expect((await bodyAt(inner, 'k'))?.toString(), foreign).toBe('theirs')
    if (foreign === 'adopt') expect((await bodyAt(b, 'k'))?.toString()).toBe('theirs')
  }
})

test('a read that finds a copy missing serves it from the other provider and heals the gap', async () => {
  await using directory = await testDirectory()
  const { inner, a, b } = pair()
  const store = await directory.open([a, b])
  const receipt = await store.put('k', Buffer.alloc(40_000, 7), { metadata: { a: '1' } })
  await receipt.replicated({ until: 'verified' })
  await eventually(async () => (await store.status()).done === 1)
  await inner.delete('k', undefined, AbortSignal.timeout(1_000))
  const got = await store.get('k')
  expect(got?.from).toBe('b')
  expect((await got?.bytes())?.byteLength).toBe(40_000)
  await eventually(async () => (await bodyAt(inner, 'k'))?.byteLength === 40_000)
  expect(await store.status()).toMatchObject({ accepted: 1, done: 1 })
  expect((await store.head('k'))?.version).toBe(receipt.version)
  await eventually(async () => (await store.status()).repairs.writes === 0)
})

test('a provider that left the options is owed its writes visibly, as NOT_CONFIGURED, until it returns', async () => {
  await using directory = await testDirectory()
  const { a, b, inner } = pair()
  const first = await directory.open([a, b], { replication: { run: 'external' } })
  await first.put('k', 'body')
  await first.close()
  const c = memory({ name: 'c' })
  const second = await directory.open([c, b])
  await eventually(async () => (await second.status()).blocked.writes === 1)
  expect((await second.status()).blocked.reasons).toEqual([{ provider: 'a', reason: 'NOT_CONFIGURED', writes: 1 }])
  await expect(second.drain()).rejects.toMatchObject({ code: 'BLOCKED' })
  await second.close()
  const third = await directory.open([a, b])
  await third.drain({ until: 'verified' })
  expect(await keysOf(inner)).toEqual(['k'])
})

test('ack all that does not come in time rejects with ACK_TIMEOUT, and the write is accepted and on its way', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = pair()
  const store = await directory.open([a, b], { ackTimeoutMs: 200 })
  faults.rules = [{ on: 'put', fault: outage }]
  const failed = await store.put('k', 'body', { ack: 'all' }).catch((error: unknown) => error)
  expect(failed).toMatchObject({ code: 'ACK_TIMEOUT', outcome: 'accepted', key: 'k' })
  const stop = new AbortController()
  const aborted = store.put('k2', 'body', { ack: 'all', signal: stop.signal })
  setTimeout(() => stop.abort(), 50)
  await expect(aborted).rejects.toMatchObject({ code: 'ACK_TIMEOUT', outcome: 'accepted' })
  faults.rules = []
  await store.drain()
  expect(await keysOf(inner)).toEqual(['k', 'k2'])
}, 30_000)

test('a conditional write whose primary is down is UNAVAILABLE, surely did not happen, and leaves nothing behind', async () => {
  await using directory = await testDirectory()
  const { faults, a, b } = pair()
  faults.rules = [{ fault: accountClosed }]
  const store = await directory.open([a, b], { ackTimeoutMs: 1_000 })
  await expect(store.put('k', 'body', { if: 'absent' })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    outcome: 'rejected',
  })
  expect(await store.status()).toMatchObject({ accepted: 0, pending: { writes: 0 }, stage: { bytes: 0 } })
  expect(await keysOf(b)).toEqual([])
})

test('the stage is refused when full, before the body is read, and deletes still work (I31)', async () => {
  await using directory = await testDirectory()
  const { a, b } = pair()
  const store = await directory.open([a, b], { maxStageBytes: 100_000, replication: { run: 'external' } })
  await store.put('k', Buffer.alloc(90_000))
  let read = false
  async function* body() {
    read = true
    yield Buffer.alloc(20_000)
  }
  await expect(store.put('too much', body(), { expect: { size: 20_000 } })).rejects.toMatchObject({
    code: 'NO_SPACE',
    outcome: 'rejected',
  })
  expect(read).toBe(false)
  await store.delete('k')
  expect(await store.get('k')).toBeUndefined()
})
