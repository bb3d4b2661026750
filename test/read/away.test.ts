import { expect, test } from 'vitest'
import { outage } from '../../src/testing/faulty/rules.ts'
import { startMs, textOf, version, world, row } from './world.ts'

/** Everything that a test stores is older than this. */
const now = startMs + 1

test('what only a provider has that was away is not served where another proves the key absent, and nothing is repaired from it (I13, I22)', async () => {
  for (const away of ['first', 'second'] as const) {
    const w = world()
    w[away].doubtedUntil = now
    await w.store(w[away], 'k', 1, 'deleted long ago')
    expect(await w.get('k')).toBeUndefined()
    expect(await w.head('k')).toBeUndefined()
    expect(w.missing).toEqual([])
  }
})

test('what this directory knows of a version that old proves nothing: others may have deleted it since (I13)', async () => {
  const w = world()
  w.second.doubtedUntil = now
  await w.store(w.second, 'k', 1, 'deleted long ago')
  w.know('k', { newest: version(1) })
  expect(await w.get('k')).toBeUndefined()
})

test('a provider that was away is asked last, and only where the others have nothing', async () => {
  const w = world()
  w.first.doubtedUntil = now
  await w.store(w.first, 'k', 1, 'old')
  await w.store(w.second, 'k', 2, 'new')
  expect(await textOf(await w.get('k'))).toBe('new')
  expect(w.asked(w.first)).toBe(0)
  const listed = await Array.fromAsync(w.reader.list({ prefix: '', delimiter: '', startAfter: '' }, undefined))
  expect(listed).toHaveLength(1)
  expect(w.asked(w.first)).toBe(0)
})

test('what a provider that was away has serves where nobody proves the key absent, where it is newer than that, and where it is our own write (P4)', async () => {
  const down = world()
  down.second.doubtedUntil = now
  await down.store(down.second, 'k', 1, 'body')
  down.first.faults.rules = [{ fault: outage }]
  expect(await textOf(await down.get('k'))).toBe('body')

  const recent = world()
  recent.second.doubtedUntil = startMs - 3_600_000
  await recent.store(recent.second, 'k', 1, 'body')
  expect(await textOf(await recent.get('k'))).toBe('body')
  expect(recent.missing).toEqual([])

  const own = world()
  own.second.doubtedUntil = now
  await own.store(own.second, 'k', 1, 'body')
  own.know('k', {
    open: { ...row({ key: 'k', n: 1, body: 'body', at: { 1: 'waiting', 2: 'stored' } }), body: { in: 'none' } },
  })
  expect(await textOf(await own.get('k'))).toBe('body')
})
