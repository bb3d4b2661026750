import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { openWith } from '../../src/holdfast/open.ts'
import type { Journal, Lease } from '../../src/journal/contract.ts'
import type { OpenJournal } from '../../src/journal/port.ts'
import { openJournal } from '../../src/journal/sqlite.ts'
import { memory } from '../../src/providers/memory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { eventually, type TestDirectory, testDirectory } from '../support/store.ts'

const minuteMs = 60_000

/** A store whose lease and whose clock the test has a hand in. */
async function watched({ path }: TestDirectory, change: (lease: Lease) => Partial<Lease>) {
  const ahead = { ms: 0 }
  const seen: { journal?: Journal } = {}
  const clock = {
    ...systemClock,
    now: () => systemClock.now() + ahead.ms,
    monotonic: () => systemClock.monotonic() + ahead.ms,
  }
  const opening: OpenJournal = async options => {
    const opened = await openJournal(options)
    const { journal } = opened
    seen.journal = journal
    const lease = async () => {
      const real = await journal.lease()
      return real && { ...real, ...change(real) }
    }
    return { ...opened, journal: { ...journal, lease } }
  }
  const store = await openWith(
    {
      directory: path,
      primary: memory({ name: 'a', clock }),
      secondary: memory({ name: 'b', clock }),
      holdMs: 0,
      tombstoneDays: 2,
    },
    { clock, disk: nodeDisk, random: systemRandom, openJournal: opening },
  )
  return { ahead, store, journal: seen.journal as Journal }
}

test('a body is on local disk until the journal has recorded its release (I19)', async () => {
  await using directory = await testDirectory()
  const bodies = join(directory.path, 'bodies')
  const there: number[] = []
  const { store } = await watched(directory, lease => ({
    async release(writes) {
      if (writes.length > 0) there.push(readdirSync(bodies).length)
      if (there.length === 1) throw new HoldfastError('UNAVAILABLE', 'not now, on purpose', { retryable: true })
      await lease.release(writes)
    },
  }))
  await store.put('k', Buffer.alloc(50_000))
  await eventually(() => readdirSync(bodies).length === 0)
  expect(there).toEqual([1, 1])
  await store.close()
}, 20_000)

test('a delete that is finished is remembered for as long as its markers live (I13)', async () => {
  await using directory = await testDirectory()
  let trims = 0
  const { store, journal, ahead } = await watched(directory, lease => ({
    trim(limits) {
      trims++
      return lease.trim(limits)
    },
  }))
  await store.delete('k')
  await store.drain({ until: 'verified' })
  await eventually(() => journal.write(1) === undefined)
  const trimmedAfter = async (ms: number) => {
    const before = trims
    ahead.ms = ms
    await store.put('other', 'v', { ack: 'all' })
    await eventually(() => trims > before)
    await eventually(async () => (await store.status()).held.writes === 0)
  }
  await trimmedAfter(2 * minuteMs)
  await trimmedAfter(47 * 60 * minuteMs)
  expect(journal.view('k').deleted).toBeDefined()
  await trimmedAfter(49 * 60 * minuteMs)
  expect(journal.view('k').deleted).toBeUndefined()
  await store.close()
}, 20_000)

test('a file that nobody refers to yet is left alone for a quarter of an hour (I20)', async () => {
  await using directory = await testDirectory()
  await (await directory.open([memory({ name: 'c' }), memory({ name: 'd' })])).close()
  const orphan = join(directory.path, 'bodies', '0123456789abcdef0123456789abcdef')
  writeFileSync(orphan, 'about to be committed', { mode: 0o600 })
  const asked: string[][] = []
  const { store, ahead } = await watched(directory, lease => ({
    collect(files) {
      asked.push([...files])
      return lease.collect(files)
    },
  }))
  const passedAt = async (ms: number) => {
    ahead.ms = ms
    await store.put('k', 'v')
    await store.drain({ until: 'verified' })
    await eventually(async () => (await store.status()).stage.bytes === 0)
  }
  await passedAt(0)
  await passedAt(12 * minuteMs)
  expect(asked).toEqual([])
  expect(existsSync(orphan)).toBe(true)
  await passedAt(24 * minuteMs)
  await eventually(() => !existsSync(orphan))
  expect(asked).toHaveLength(1)
  await store.close()
}, 20_000)
