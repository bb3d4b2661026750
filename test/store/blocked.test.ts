import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { systemClock } from '../../src/core/system.ts'
import type { BlockedWrite } from '../../src/holdfast/blocked.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openJournal } from '../../src/journal/sqlite.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { accountClosed, type Faults, outage, type ProviderFault } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'

const refused: ProviderFault = { kind: 'fail', code: 'DENIED', reason: 'REFUSED', message: 'it is too red' }
const isApps = (key: string) => !key.startsWith('.holdfast/')

function pair() {
  const [first, second]: [Faults, Faults] = [{}, {}]
  const [innerA, innerB] = [memory({ name: 'a' }), memory({ name: 'b' })]
  return { first, second, innerA, innerB, a: faulty(innerA, first), b: faulty(innerB, second) }
}

async function listed(store: Holdfast, options?: Parameters<Holdfast['blocked']['list']>[0]): Promise<BlockedWrite[]> {
  return Array.fromAsync(store.blocked.list(options))
}

const sums = ({ accepted, done, superseded, pending, held, blocked }: Awaited<ReturnType<Holdfast['status']>>) => ({
  accepted,
  is: done + superseded + pending.writes + held.writes + blocked.writes,
})

test('what a provider refuses is listed with its reason, sent again when asked, and then drains', async () => {
  await using directory = await testDirectory()
  const { second, innerB, a, b } = pair()
  second.rules = [{ on: 'put', key: isApps, fault: refused }]
  const store = await directory.open([a, b])
  for (const key of ['one', 'two']) await store.put(key, key)
  await expect(store.drain()).rejects.toMatchObject({ code: 'BLOCKED', provider: 'b', reason: 'REFUSED' })
  const [one] = await listed(store)
  expect(one).toMatchObject({
    key: 'one',
    kind: 'put',
    size: 3,
    provider: 'b',
    reason: 'REFUSED',
    message: expect.stringContaining('too red') as string,
    isElsewhere: true,
    configured: true,
  })
  expect(one?.acceptedAt).toBeInstanceOf(Date)
  expect((await listed(store, { key: 'two' })).map(({ key }) => key)).toEqual(['two'])
  expect(await listed(store, { provider: 'a' })).toEqual([])
  expect(await listed(store, { reason: 'KMS' })).toEqual([])
  second.rules = []
  expect(await store.blocked.retry({ key: 'one' })).toBe(1)
  await eventually(async () => (await keysOf(innerB)).includes('one'))
  expect(await store.blocked.retry()).toBe(1)
  await store.drain({ until: 'verified' })
  expect(await keysOf(innerB)).toEqual(['one', 'two'])
  expect(await listed(store)).toEqual([])
})

test('what is given up at one provider ends as done at the other, is told, and is remembered with its reason (I9)', async () => {
  await using directory = await testDirectory()
  const { second, innerA, innerB, a, b } = pair()
  second.rules = [{ on: 'put', key: isApps, fault: refused }]
  const store = await directory.open([a, b])
  const told: unknown[] = []
  store.on('abandoned', given => told.push(given))
  const { version, replicated } = await store.put('k', 'v')
  await expect(replicated()).rejects.toMatchObject({ code: 'BLOCKED' })
  expect(await store.blocked.abandon({ provider: 'b' }, { why: 'red is not for b' })).toEqual({ abandoned: 1, kept: 0 })
  await store.drain({ until: 'verified' })
  await replicated()
  expect(told).toEqual([{ key: 'k', version, provider: 'b', reason: 'REFUSED', why: 'red is not for b' }])
  expect(await store.blocked.abandoned()).toMatchObject([
    {
      key: 'k',
      version,
      kind: 'put',
      provider: 'b',
      reason: 'REFUSED',
      why: 'red is not for b',
      at: expect.any(Date) as Date,
    },
  ])
  const status = await eventually(async () => {
    const now = await store.status()
    return now.done === 1 ? now : undefined
  })
  expect(status).toMatchObject({ accepted: 1, abandoned: 1, blocked: { writes: 0, reasons: [] } })
  expect(sums(status)).toEqual({ accepted: 1, is: 1 })
  expect(await keysOf(innerA)).toEqual(['k'])
  expect(await keysOf(innerB)).toEqual([])
})

test('the last copy is given up only by who says so, and whoever waits for it hears of it', async () => {
  await using directory = await testDirectory()
  const { first, second, a, b } = pair()
  for (const faults of [first, second]) faults.rules = [{ on: 'put', key: isApps, fault: refused }]
  const store = await directory.open([a, b])
  const { replicated } = await store.put('k', 'v')
  await eventually(async () => (await listed(store)).length === 2)
  expect((await listed(store)).map(({ isElsewhere }) => isElsewhere)).toEqual([false, false])
  expect(await store.blocked.abandon({}, { why: 'why not' })).toEqual({ abandoned: 1, kept: 1 })
  expect(await (await store.get('k'))?.text()).toBe('v')
  await expect(store.drain()).rejects.toMatchObject({ code: 'BLOCKED' })
  const lost = replicated().catch((error: unknown) => error)
  expect(await lost).toMatchObject({ code: 'BLOCKED', reason: 'REFUSED' })
  expect(await store.blocked.abandon({}, { why: 'it may go', lastCopy: true })).toEqual({ abandoned: 1, kept: 0 })
  expect(await store.get('k')).toBeUndefined()
  await store.drain()
  const status = await store.status()
  expect(status).toMatchObject({ superseded: 1, abandoned: 2, left: [] })
  expect(sums(status)).toEqual({ accepted: 1, is: 1 })
})

test('who waits for a write that was given up everywhere does not hear that it was replicated', async () => {
  await using directory = await testDirectory()
  const { a, b } = pair()
  const store = await directory.open([a, b], { replication: { run: 'external' } })
  const { replicated } = await store.put('k', 'v')
  const found = JSON.parse(await readFile(join(directory.path, 'holdfast.json'), 'utf8')) as { directory: string }
  const { journal } = await openJournal({
    path: directory.path,
    directory: found.directory,
    writer: '0'.repeat(16),
    clock: systemClock,
  })
  const lease = await journal.lease()
  for (const provider of [1, 2]) await lease?.block(1, provider, 'RETENTION', 'kept by law')
  expect(await store.blocked.abandon({ key: 'k' }, { why: 'why', lastCopy: true })).toEqual({ abandoned: 2, kept: 0 })
  await expect(replicated()).rejects.toMatchObject({
    code: 'BLOCKED',
    message: expect.stringMatching(/given up/) as string,
  })
  await journal.close()
})

test('what a provider that left is owed is shown, and retired; what took its place is unfilled', async () => {
  await using directory = await testDirectory()
  const { second, innerA, a, b } = pair()
  second.rules = [{ fault: outage }]
  const before = await directory.open([a, b])
  for (const key of ['one', 'two']) await before.put(key, key, { ack: 'one' })
  await before.close()

  const c = memory({ name: 'c' })
  const store = await directory.open([a, c])
  await store.put('three', 'three')
  await eventually(async () => (await store.status()).pending.writes === 0)
  const status = await store.status()
  expect(status.left).toEqual([{ name: 'b', writes: 2 }])
  expect(status.providers.map(({ name, filled, stale }) => [name, filled, stale])).toEqual([
    ['a', true, false],
    ['c', false, false],
  ])
  expect(status.blocked).toMatchObject({ writes: 2, reasons: [{ provider: 'b', reason: 'NOT_CONFIGURED', writes: 2 }] })
  expect(await listed(store)).toMatchObject([
    { key: 'one', provider: 'b', reason: 'NOT_CONFIGURED', isElsewhere: true, configured: false },
    { key: 'two', provider: 'b', reason: 'NOT_CONFIGURED' },
  ])
  expect((await listed(store, { reason: 'NOT_CONFIGURED', provider: 'b', key: 'two' })).length).toBe(1)
  expect(await listed(store, { reason: 'REFUSED' })).toEqual([])
  await expect(store.drain()).rejects.toMatchObject({ code: 'BLOCKED', provider: 'b', reason: 'NOT_CONFIGURED' })
  // What only waits is not for `abandon`.
  expect(await store.blocked.abandon({ provider: 'b' }, { why: 'why' })).toEqual({ abandoned: 0, kept: 0 })

  for (const [name, rule, says] of [
    ['a', 'configured', /among the options.*without it/],
    ['c', 'configured', /among the options/],
    ['bb', 'unknown', /did you mean b\?/],
    ['elsewhere', 'unknown', /there are: b/],
  ] as const)
    await expect(store.retire(name, { why: 'closed' })).rejects.toMatchObject({
      code: 'INVALID',
      field: 'provider',
      rule,
      message: expect.stringMatching(says) as string,
    })
  expect(await store.retire('b', { why: 'closed' })).toEqual({ abandoned: 2, kept: 0 })
  await store.drain({ until: 'verified' })
  const after = await eventually(async () => {
    const now = await store.status()
    return now.done === 3 ? now : undefined
  })
  expect(after).toMatchObject({ left: [], abandoned: 2, blocked: { writes: 0 } })
  expect(sums(after)).toEqual({ accepted: 3, is: 3 })
  expect(await keysOf(innerA)).toEqual(['one', 'three', 'two'])
  await expect(store.retire('b', { why: 'closed' })).rejects.toMatchObject({
    rule: 'unknown',
    message: expect.stringMatching(/no provider left the options/) as string,
  })
})

test('what is nowhere but on local disk is not lost with the providers that left: written anew, it reaches the others (I7)', async () => {
  await using directory = await testDirectory()
  const { first, second, a, b } = pair()
  for (const faults of [first, second]) faults.rules = [{ fault: outage }]
  const before = await directory.open([a, b])
  await before.put('k', 'only here', { metadata: { m: '1' } })
  await before.close()

  const [c, d] = [memory({ name: 'c' }), memory({ name: 'd' })]
  const store = await directory.open([c, d])
  expect(await store.retire('a', { why: 'gone' })).toEqual({ abandoned: 1, kept: 0 })
  expect(await store.retire('b', { why: 'gone' })).toEqual({ abandoned: 0, kept: 1 })
  expect((await store.status()).left).toEqual([{ name: 'b', writes: 1 }])
  await store.copy('k', 'k')
  expect(await store.retire('b', { why: 'gone' })).toEqual({ abandoned: 0, kept: 0 })
  await store.drain({ until: 'verified' })
  expect(String(await bodyAt(c, 'k'))).toBe('only here')
  expect(String(await bodyAt(d, 'k'))).toBe('only here')
  expect((await store.status()).left).toEqual([])
})

test('a blocked provider that is configured is shown with what waits for it, and is not to be retired', async () => {
  await using directory = await testDirectory()
  const { second, a, b } = pair()
  second.rules = [{ fault: accountClosed }]
  const store = await directory.open([a, b])
  await store.put('k', 'v')
  await expect(store.drain()).rejects.toMatchObject({ code: 'BLOCKED', reason: 'ACCOUNT' })
  expect(await listed(store)).toMatchObject([
    { key: 'k', provider: 'b', reason: 'ACCOUNT', configured: true, isElsewhere: true },
  ])
  expect(await store.blocked.retry()).toBe(0)
  second.rules = []
  await eventually(async () => (await listed(store)).length === 0)
  await store.drain({ until: 'verified' })
})

test('a write that waited too long goes out when a person confirms it, and not before', async () => {
  await using directory = await testDirectory()
  const { second, innerB, a, b } = pair()
  second.rules = [{ fault: outage }]
  const before = await directory.open([a, b], { tombstoneDays: 1 })
  await before.put('k', 'v', { ack: 'one' })
  await before.close()
  const database = new Database(join(directory.path, 'journal.sqlite'))
  database.prepare('UPDATE writes SET accepted_at = accepted_at - 86400000').run()
  database.close()
  second.rules = []
  const store = await directory.open([a, b], { tombstoneDays: 1 })
  await eventually(async () => (await listed(store)).length === 1)
  expect(await listed(store)).toMatchObject([{ key: 'k', provider: 'b', reason: 'TOO_OLD' }])
  expect(await keysOf(innerB)).toEqual([])
  expect(await store.blocked.retry({ reason: 'TOO_OLD' })).toBe(1)
  await store.drain({ until: 'verified' })
  expect(await keysOf(innerB)).toEqual(['k'])
})

test('drain waits for repairs too, and says when only blocked ones are left; they are no accepted writes (I9)', async () => {
  await using directory = await testDirectory()
  const { second, innerB, a, b } = pair()
  const store = await directory.open([a, b])
  await store.put('k', 'v')
  await store.drain({ until: 'verified' })
  await eventually(async () => (await store.status()).done === 1)
  await innerB.delete('k', undefined, AbortSignal.timeout(5_000))
  expect(await keysOf(innerB)).toEqual([])

  second.rules = [{ on: 'put', key: isApps, fault: refused }]
  await store.reconcile({ repair: true, confirm: true })
  await expect(store.drain()).rejects.toMatchObject({ code: 'BLOCKED', provider: 'b', reason: 'REFUSED' })
  const status = await store.status()
  expect(status).toMatchObject({
    repairs: { writes: 1 },
    blocked: { writes: 0, reasons: [{ provider: 'b', reason: 'REFUSED', writes: 1 }] },
  })
  expect(sums(status)).toEqual({ accepted: 1, is: 1 })
  expect(await listed(store)).toMatchObject([{ key: 'k', isElsewhere: true }])
  second.rules = []
  await store.blocked.retry()
  await store.drain({ until: 'verified' })
  expect(String(await bodyAt(innerB, 'k'))).toBe('v')
})

test('each bad input has one clear refusal', async () => {
  await using directory = await testDirectory()
  const { a, b } = pair()
  const store = await directory.open([a, b])
  const call = store as unknown as Record<string, (...args: unknown[]) => Promise<unknown>> & {
    blocked: Record<string, (...args: unknown[]) => Promise<unknown>>
  }
  const list = (options: unknown) => listed(store, options as never)
  const why = { why: 'why' }
  const calls: readonly (readonly [() => Promise<unknown> | undefined, object])[] = [
    [() => list({ provider: 'bb' }), { field: 'provider', rule: 'unknown', message: /did you mean b\?/ }],
    [() => list({ provider: 1 }), { field: 'provider', rule: 'type' }],
    [() => list({ reason: 'REFUSE' }), { field: 'reason', rule: 'value' }],
    [() => list({ key: 1 }), { field: 'key', rule: 'type' }],
    [() => list({ keys: 'k' }), { field: 'keys', rule: 'unknown', message: /did you mean key\?/ }],
    [() => call.blocked['retry']?.({ provder: 'a' }), { field: 'provder', rule: 'unknown' }],
    [() => call.blocked['abandon']?.({}, {}), { field: 'why', rule: 'missing' }],
    [() => call.blocked['abandon']?.({}, { why: ' ' }), { field: 'why', rule: 'length' }],
    [() => call.blocked['abandon']?.({}, { why: 3 }), { field: 'why', rule: 'type' }],
    [() => call.blocked['abandon']?.({}, { why: 'y', lastcopy: true }), { field: 'lastcopy', rule: 'unknown' }],
    [() => call.blocked['abandon']?.({}, { why: 'y', lastCopy: 1 }), { field: 'lastCopy', rule: 'type' }],
    [() => call['retire']?.(1, why), { field: 'provider', rule: 'type' }],
    [() => call['retire']?.('b', {}), { field: 'why', rule: 'missing' }],
  ]
  for (const [begin, { message, ...expected }] of calls as readonly (readonly [
    () => Promise<unknown>,
    { message?: RegExp },
  ])[]) {
    const error: unknown = await begin().catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'INVALID', ...expected })
    if (message !== undefined) expect((error as Error).message).toMatch(message)
  }
  await expect(call.blocked['abandon']?.(undefined, why)).rejects.toThrow(TypeError)
  await expect(call['retire']?.('b')).rejects.toMatchObject({ code: 'INVALID', field: 'why' })
  const ended = new Error('enough')
  await expect(list({ signal: AbortSignal.abort(ended) })).rejects.toBe(ended)
  await store.close()
  await expect(listed(store)).rejects.toMatchObject({ code: 'CLOSED' })
  await expect(store.blocked.retry()).rejects.toMatchObject({ code: 'CLOSED' })
})
