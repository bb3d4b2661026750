import { appendFileSync, existsSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { HoldfastError } from '../../src/core/errors.ts'
import { noMemo, type PutCondition } from '../../src/core/provider.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { fs } from '../../src/providers/fs.ts'
import { sourceOf } from '../../src/testing/conformance/bench.ts'
import { bodyFor } from '../kill/body.ts'
import type { Content, Outcome, Told } from './ledger.ts'
import { providersAt } from './places.ts'

/**
 * The process that loses its power, or is killed. Tells its parent on descriptor 3, before and after each thing that it does, in the order in
 * which it does it. Started with the directory of the store, the folder with the two that stand for clouds, and what it is to do.
 */
const [directory = '', places = '', scenario = '', life = '0'] = process.argv.slice(2)

// Through no stream: what was told before a kill was told.
const tell = (told: Told): void => void writeSync(3, `${JSON.stringify(told)}\n`)
const phase = (name: string): void => tell({ type: 'phase', name })

/** Stands still until the parent has looked. Only while nothing else asks. */
function standStill(): void {
  writeSync(3, 'ask cut -\n')
  if (readSync(4, Buffer.alloc(1)) !== 1) process.exit(99)
}

function open(run: 'here' | 'external', holdMs = 0, at: string = directory): Promise<Holdfast> {
  const [primary, secondary] = providersAt(places)
  return openHoldfast({ directory: at, primary, secondary, holdMs, replication: { run } })
}

async function told(key: string, content: Content | undefined, work: () => Promise<unknown>): Promise<void> {
  tell({ type: 'begin', key, content })
  let outcome: Outcome = 'acknowledged'
  let code: string | undefined
  try {
    await work()
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    outcome = error.outcome === 'rejected' ? 'rejected' : 'unknown'
    code = error.code
  }
  tell({ type: 'end', key, outcome, code })
}

function put(store: Holdfast, key: string, size: number): Promise<void> {
  const content = { seed: `${key} ${life} ${made++}`, size }
  const { seed } = content
  return told(key, content, () => store.put(key, bodyFor(seed, size), { metadata: { seed } }))
}
let made = 0

const remove = (store: Holdfast, key: string): Promise<void> => told(key, undefined, () => store.delete(key))

const partBytes = 20_000

/** Part 2 twice: the second takes the place of the first. */
async function upload(store: Holdfast, key: string, then: 'complete' | 'abort' | 'leave'): Promise<void> {
  const content = { seed: `${key} ${life} ${made++}`, size: 3 * partBytes - 5_000 }
  const body = bodyFor(content.seed, content.size)
  const { id } = await store.uploads.create(key, { metadata: { seed: content.seed } })
  tell({ type: 'upload', id, key, content })
  for (const number of [3, 2, 1, 2]) {
    const part = body.subarray((number - 1) * partBytes, number * partBytes)
    const { etag } = await store.uploads.putPart(id, number, part)
    tell({ type: 'part', id, number, etag })
  }
  if (then === 'leave') return
  tell({ type: 'ending', id })
  if (then === 'abort') await store.uploads.abort(id)
  else {
    const parts = [1, 2, 3].map(number => ({ number }))
    await told(key, content, () => store.uploads.complete(id, parts))
  }
  tell({ type: 'ended', id })
}

/** The log of a journal that has been used for a while does not grow: commits write over what was brought into the journal before. */
async function useLog(store: Holdfast): Promise<void> {
  for (let i = 0; i < 30; i++) await put(store, 'used', 16_000)
  const database = new Database(join(directory, 'journal.sqlite'))
  database.pragma('wal_checkpoint(RESTART)')
  database.close()
}

async function changes(store: Holdfast): Promise<void> {
  phase('put, in the row')
  await put(store, 'small', 1_000)
  phase('put, in a file')
  await put(store, 'large', 40_000)
  phase('put over another')
  await put(store, 'small', 30_000)
  await put(store, 'large', 10)
  phase('delete')
  await remove(store, 'small')
  await remove(store, 'never')
  phase('upload in parts, completed')
  await upload(store, 'parts', 'complete')
  phase('upload in parts, left open')
  await upload(store, 'open', 'leave')
  phase('upload in parts, aborted')
  await upload(store, 'aborted', 'abort')
  phase('eight puts at once')
  await Promise.all(Array.from({ length: 8 }, (_, i) => put(store, `many/${i}`, i % 2 === 0 ? 20_000 + i : 100 + i)))
}

const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  async writes() {
    phase('opening a new directory')
    let store = await open('external')
    await changes(store)
    phase('closing')
    await store.close()
    phase('opening again')
    store = await open('external')
    await put(store, 'again', 20_000)
    await store.close()
  },

  async used() {
    phase('opening a new directory')
    const store = await open('external')
    phase('using up the log')
    await useLog(store)
    await changes(store)
    phase('closing')
    await store.close()
  },

  async release() {
    phase('opening a new directory')
    const store = await open('here', 30)
    phase('put, delete and upload, replicated as they come')
    await put(store, 'small', 1_000)
    await put(store, 'large', 40_000)
    await put(store, 'gone', 30_000)
    await remove(store, 'gone')
    await upload(store, 'parts', 'complete')
    phase('replicating, looking again, releasing')
    await store.drain({ until: 'verified' })
    while ((await store.status()).stage.bytes > 0) await wait(5)
    phase('put over what was released')
    await put(store, 'large', 50_000)
    await store.drain({ until: 'verified' })
    while ((await store.status()).stage.bytes > 0) await wait(5)
    phase('closing')
    await store.close()
  },

  /** After a crash. */
  async recovery() {
    phase('opening after a crash')
    const store = await open('external')
    phase('put after a crash')
    await put(store, 'after', 20_000)
    phase('closing')
    await store.close()
  },

  /** Opens and works again and again, `life` 'new': in a new directory each time, 'same': in one that is poisoned. The parent lets one more call succeed in each life. */
  async errors() {
    for (let n = 1; ; n++) {
      phase('before a life')
      // As a sync that failed leaves it: each opening is the recovery from that, whatever the life before came to.
      if (life === 'same' && existsSync(directory)) appendFileSync(join(directory, 'poisoned'), 'for a test\n')
      standStill()
      phase('a life')
      let store: Holdfast | undefined
      try {
        store = await open('external', 0, life === 'new' ? `${directory}-${n}` : directory)
        await put(store, 'small', 1_000)
        await put(store, 'large', 40_000)
        await remove(store, 'small')
        await remove(store, 'large')
        await put(store, 'small', 30_000)
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error
        const { code, rule, message } = error
        tell({ type: 'failed', code, rule, message })
      }
      phase('closing')
      await store?.close()
      phase('after a life')
      standStill()
    }
  },

  /** Until it is killed, under all kinds of load. */
  async mixed() {
    const store = await open('here', 30)
    const sizes = [0, 1_000, 16_384, 16_385, 70_000]
    const worker = async (name: number): Promise<void> => {
      for (let i = 0; ; i++) {
        if (i % 5 === 4) await remove(store, `again/${name}`)
        else if (i % 5 === 3) await upload(store, `parts/${life}/${name}/${i}`, i % 2 === 0 ? 'complete' : 'leave')
        else if (i % 5 === 2) await put(store, `again/${name}`, sizes[i % 3] ?? 0)
        else await put(store, `once/${life}/${name}/${i}`, sizes[(i + name) % sizes.length] ?? 0)
      }
    }
    phase('ready')
    await Promise.all([0, 1, 2, 3].map(worker))
  },

  /** Up to the commit of 25 puts, and no further: the parent sees to that. */
  async orphans() {
    const store = await open('external')
    await put(store, `kept/${life}`, 20_000)
    phase('crashing')
    await Promise.all(Array.from({ length: 25 }, (_, i) => put(store, `lost/${life}/${i}`, 17_000)))
  },

  /** `directory` is the root of a provider. */
  async provider() {
    const provider = fs({ root: directory })
    const signal = AbortSignal.timeout(60_000)
    const store = (key: string, size: number, condition?: PutCondition): Promise<void> => {
      const content = { seed: `${key} ${made++}`, size }
      const body = Buffer.from(bodyFor(content.seed, size))
      const headers = { contentType: 'text/plain' }
      const metadata = { seed: content.seed }
      return told(key, content, () =>
        provider.put({ key, source: sourceOf(body), headers, metadata, condition, upload: noMemo }, signal),
      )
    }
    const drop = (key: string): Promise<void> => told(key, undefined, () => provider.delete(key, undefined, signal))
    phase('the first object')
    await store('first', 1_000)
    phase('in new folders')
    await store('a/b/c', 300_000)
    phase('over another')
    await store('first', 2_000)
    phase('only where there is none')
    await store('a/b/d', 3_000, { absent: true })
    phase('delete, with its folders')
    await drop('a/b/c')
    await drop('a/b/d')
    phase('again in the same folder')
    await store('a/b/c', 4_000)
    phase('six at once')
    await Promise.all(Array.from({ length: 6 }, (_, i) => store(`many/${i % 2}/${i}`, 5_000 + i)))
  },
}

await scenarios[scenario]?.()
