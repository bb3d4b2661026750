import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, expect, test } from 'vitest'
import { noMemo, type Provider } from '../../../src/core/provider.ts'
import { fs } from '../../../src/providers/fs.ts'
import { callsTo } from '../../../src/providers/fs/calls.ts'
import { turnsAt } from '../../../src/providers/fs/lock.ts'
import { sourceOf } from '../../../src/testing/conformance/bench.ts'

const { signal } = new AbortController()
const roots: string[] = []
afterEach(() => roots.splice(0).forEach(root => rmSync(root, { recursive: true })))

function newRoot(): string {
  const root = mkdtempSync(join(tmpdir(), 'holdfast-fs-'))
  roots.push(root)
  return root
}

function put(provider: Provider, key: string, stop: AbortSignal = signal) {
  const headers = { contentType: 'text/plain' }
  return provider.put({ key, source: sourceOf('x'), headers, metadata: {}, condition: undefined, upload: noMemo }, stop)
}

/** A call that hangs until the test lets it go. */
function hang() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { call: () => promise, end: resolve }
}

test('roots that hang leave a thread to everybody else', async () => {
  const { call, end } = hang()
  const stop = new AbortController()
  const stuck: Promise<unknown>[] = []
  for (const name of ['first', 'second']) {
    const calls = callsTo(join(tmpdir(), name))
    for (let i = 0; i < 20; i++) stuck.push(calls.run(call, stop.signal).catch((error: unknown) => error))
  }
  for (let i = 0; i < 20; i++) await readFile(import.meta.filename)
  const reason = new Error('stop')
  stop.abort(reason)
  expect(new Set(await Promise.all(stuck))).toEqual(new Set([reason]))
  end()
})

test('a root waits for itself, not for another one that hangs', async () => {
  const { call, end } = hang()
  const calls = callsTo(join(tmpdir(), 'one-that-hangs'))
  const stuck = Array.from({ length: 20 }, () => calls.run(call))
  const provider = fs({ root: newRoot() })
  await put(provider, 'a')
  expect((await provider.head('a', signal))?.size).toBe(1)
  end()
  await Promise.all(stuck)
})

test('turns are taken one after the other, and a failure is only its own', async () => {
  const turns = turnsAt(join(newRoot(), '!lock'))
  const order: string[] = []
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_none, index) =>
      turns.alone(async () => {
        order.push(`in ${index}`)
        await new Promise(resolve => setTimeout(resolve, index % 3))
        order.push(`out ${index}`)
        if (index === 5) throw new Error('five')
        return index
      }),
    ),
  )
  expect(order).toEqual(Array.from({ length: 20 }, (_none, index) => [`in ${index}`, `out ${index}`]).flat())
  expect(results.map(result => (result.status === 'fulfilled' ? result.value : 'failed'))).toEqual(
    Array.from({ length: 20 }, (_none, index) => (index === 5 ? 'failed' : index)),
  )
})

test('while somebody else has the lock a put can be given up, and reads go on', async () => {
  const root = newRoot()
  const provider = fs({ root })
  await put(provider, 'before')
  const other = new Database(join(root, '!lock'))
  other.exec('BEGIN EXCLUSIVE')
  const began = performance.now()
  await expect(put(provider, 'a', AbortSignal.timeout(100))).rejects.toMatchObject({ name: 'TimeoutError' })
  expect(performance.now() - began).toBeLessThan(3_000)
  expect((await provider.head('before', signal))?.size).toBe(1)
  const waiting = put(provider, 'b')
  await new Promise(resolve => setTimeout(resolve, 50))
  other.close()
  await waiting
  expect(await provider.head('a', signal)).toBeUndefined()
  expect((await provider.head('b', signal))?.size).toBe(1)
})

test('a lock file that cannot be one is an error, not a turn', async () => {
  const root = newRoot()
  const provider = fs({ root })
  writeFileSync(join(root, '!lock'), 'this is no database, and no lock. '.repeat(100))
  await expect(put(provider, 'a')).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'SERVER', outcome: 'rejected' })
  expect(await provider.head('a', signal)).toBeUndefined()
})

test('where there are no locks that is said, and conditions are refused', async () => {
  const root = newRoot()
  const provider = fs({ root })
  const usual = await provider.learn(undefined, signal)
  expect(usual).toMatchObject({
    createIfAbsent: true,
    replaceIf: true,
    deleteIf: true,
    quirks: { locks: 'yes', links: 'yes' },
  })
  const without = await provider.learn({ ...usual, quirks: { locks: 'none', links: 'yes' } }, signal)
  expect(without).toMatchObject({ createIfAbsent: true, replaceIf: false, deleteIf: false })
  const { token } = await put(provider, 'a')
  await expect(provider.delete('a', token, signal)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  expect(() => statSync(join(root, '!lock'))).toThrow('ENOENT')
})
