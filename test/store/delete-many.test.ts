import { expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { noMemo } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { type Faults, outage } from '../../src/testing/faulty/rules.ts'
import { eventually, keysOf, testDirectory } from '../support/store.ts'

async function fill(store: Holdfast, prefix: string, count: number): Promise<void> {
  const puts = Array.from({ length: count }, (_, n) => store.put(`${prefix}${String(n).padStart(4, '0')}`, `${n}`))
  await Promise.all(puts)
}

test('deleteMany deletes all keys of a prefix and no others, also those that no provider has yet, and tells how many (P5, P6)', async () => {
  await using directory = await testDirectory()
  const faults: Faults = {}
  const [inner, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const store = await directory.open([faulty(inner, faults), b])
  await fill(store, 'old/', 80)
  await fill(store, 'new/', 5)
  await store.drain()
  faults.rules = [{ on: 'put', fault: outage }]
  await store.put('old/pending', 'x')
  expect(await store.deleteMany({ prefix: 'old/', dryRun: true })).toEqual({ deleted: 81 })
  expect((await keysOf(b)).filter(key => key.startsWith('old/')).length).toBeGreaterThanOrEqual(80)
  const told: { deleted: number; key: string }[] = []
  const run = store.deleteMany({ prefix: 'old/' })
  for await (const progress of run) told.push(progress)
  expect(await run).toEqual({ deleted: 81 })
  expect(told.at(-1)).toMatchObject({ deleted: 81, key: expect.stringMatching(/^old\//) })
  expect(await Array.fromAsync(store.list({ prefix: 'old/' }))).toEqual([])
  faults.rules = []
  await store.drain({ until: 'verified' })
  for (const provider of [inner, b])
    expect(await keysOf(provider)).toEqual(['new/0000', 'new/0001', 'new/0002', 'new/0003', 'new/0004'])
  expect(await store.deleteMany({ prefix: 'old/' })).toEqual({ deleted: 0 })
}, 60_000)

test('deleteMany takes all keys only where that is said, and refuses what it does not understand', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory(), memory()]
  const store = await directory.open([a, b])
  await fill(store, '', 3)
  await store.drain()
  const refused = async (options: unknown) => {
    const run = store.deleteMany(options as { prefix: string })
    return Promise.resolve(run).catch((error: unknown) => error)
  }
  expect(await refused({ prefix: '' })).toMatchObject({ code: 'INVALID', field: 'prefix', rule: 'empty' })
  expect(await refused({})).toMatchObject({ code: 'INVALID', field: 'prefix', rule: 'missing' })
  expect(await refused(undefined)).toMatchObject({ code: 'INVALID', field: 'prefix', rule: 'missing' })
  expect(await refused({ prefix: 7 })).toMatchObject({ code: 'INVALID', field: 'prefix', rule: 'type' })
  expect(await refused({ prefix: 'a', dryrun: true })).toMatchObject({ code: 'INVALID', rule: 'unknown' })
  expect(await refused({ prefix: 'a', everything: 'yes' })).toMatchObject({ code: 'INVALID', field: 'everything' })
  expect(await refused({ prefix: 'a', ack: 'some' })).toMatchObject({ code: 'INVALID', field: 'ack' })
  expect(await refused({ prefix: 'a', signal: AbortSignal.abort(new Error('no')) })).toMatchObject({ message: 'no' })
  expect(await keysOf(a)).toHaveLength(3)
  expect(await store.deleteMany({ prefix: '', everything: true, ack: 'all' })).toEqual({ deleted: 3 })
  expect(await keysOf(a)).toEqual([])
}, 30_000)

test('deleteMany that is left, aborted, or fails ends cleanly: what it deleted is deleted, and nothing more', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const faults: Faults = {}
  const store = await directory.open([faulty(a, faults), b], { ackTimeoutMs: 60_000 })
  await fill(store, 'k/', 130)
  await store.drain()
  // Deletes that wait for a provider, so that there is something to leave.
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  faults.rules = [{ on: ['put', 'delete'], fault: { kind: 'before', run: () => gate } }]
  const stop = new AbortController()
  const aborted = store.deleteMany({ prefix: 'k/', ack: 'all', signal: stop.signal })
  setTimeout(() => stop.abort(new Error('enough')), 100)
  await expect(Promise.resolve(aborted)).rejects.toThrow('enough')
  const left = store.deleteMany({ prefix: 'k/', ack: 'all' })
  for await (const progress of left) {
    // Once a second also while nothing comes to its end.
    expect(progress.deleted).toBe(0)
    break
  }
  await expect(Promise.resolve(left)).rejects.toThrow('left before its end')
  const deleted = (await store.status()).accepted - 130
  expect(deleted).toBeLessThanOrEqual(128)
  open()
  faults.rules = []
  await store.drain({ until: 'verified' })
  expect(await keysOf(b)).toHaveLength(130 - deleted)
}, 60_000)

test('deleteMany goes past a key that was written past Holdfast and cannot be named, and says so at its end', async () => {
  await using directory = await testDirectory()
  const a = memory({ name: 'a' })
  const refuseKey = (key: string) => (key.endsWith('~') ? { rule: 'segment', message: 'ends in ~' } : undefined)
  const store = await directory.open([a, { ...memory({ name: 'b' }), refuseKey }])
  const source = bytesSource(Buffer.from('x'), digestsOf(Buffer.from('x')))
  const headers = { contentType: 'text/plain' }
  await a.put(
    { key: 'k/0~', source, headers, metadata: {}, condition: undefined, upload: noMemo },
    AbortSignal.timeout(5_000),
  )
  await fill(store, 'k/', 3)
  await store.drain()
  const failed = await Promise.resolve(store.deleteMany({ prefix: 'k/' })).catch((error: unknown) => error)
  expect(failed).toMatchObject({ code: 'INVALID', field: 'key' })
  await eventually(async () => (await keysOf(a)).length === 1)
}, 30_000)
