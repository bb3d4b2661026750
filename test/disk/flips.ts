import { randomBytes } from 'node:crypto'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { digestsOf } from '../../src/core/digest.ts'
import { bytesSource } from '../../src/core/source.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { memory } from '../../src/providers/memory.ts'
import { bodyFor } from '../kill/body.ts'
import { bodyAt } from '../support/store.ts'
import { scratch } from './place.ts'

/**
 * What becomes of a journal with one bit flipped. A directory with work of every kind; the journal is put back, a bit is flipped, the store is opened,
 * read, drained, and compared with what was promised.
 *
 * - `refused`: it did not open
 * - `told`: something was refused, or is counted as blocked or pending, that the app can see
 * - `harmless`: everything promised is there, at every provider
 * - `short`: what was promised is not at every provider, and nobody says so
 */
export type Outcome = 'refused' | 'told' | 'harmless' | 'short'

const large = 20_000
const pageBytes = 4096

/** The newest body of each key: the seed it was made of, `undefined` where it was deleted; and its size. */
const promised: ReadonlyMap<string, { readonly seed: string; readonly size: number } | undefined> = new Map([
  ['kept', { seed: 'kept', size: 100 }],
  ['replaced row', { seed: 'replaced row 2', size: 100 }],
  ['replaced file', { seed: 'replaced file 2', size: large }],
  ['deleted', undefined],
  ['deleted later', undefined],
  ['new row', { seed: 'new row', size: 5_000 }],
  ['new file', { seed: 'new file', size: large }],
  ['half', { seed: 'half', size: large }],
])

export interface Flips {
  readonly journal: Buffer
  /** What comes of it; throws where wrong bytes came out. */
  after(at: number, bit: number): Promise<Outcome>
}

export async function flips(): Promise<Flips> {
  const root = await scratch()
  const directory = join(root, 'store')
  const names = ['a', 'b'] as const
  const before = names.map(name => memory({ name })) as [Provider, Provider]
  const open = ([primary, secondary]: readonly [Provider, Provider], run: 'here' | 'external') =>
    openHoldfast({ directory, primary, secondary, holdMs: 0, cacheBytes: 1e6, replication: { run } })

  const first = await open(before, 'here')
  for (const [key, size] of [
    ['kept', 100],
    ['replaced row', 100],
    ['replaced file', large],
    ['deleted', 100],
    ['deleted later', 100],
  ] as const)
    await first.put(key, bodyFor(key, size))
  await first.delete('deleted')
  await first.drain({ until: 'verified' })
  await first.close()
  const second = await open(before, 'external')
  for (const key of ['replaced row', 'replaced file', 'new row', 'new file', 'half']) {
    const wanted = promised.get(key)
    if (wanted !== undefined) await second.put(key, bodyFor(wanted.seed, wanted.size))
  }
  await second.delete('deleted later')
  const { id } = await second.uploads.create('upload')
  await second.uploads.putPart(id, 1, bodyFor('part', large))
  await second.close()
  const kept = join(root, 'kept')
  cpSync(directory, kept, { recursive: true })
  const journal = readFileSync(join(kept, 'journal.sqlite'))

  const putBack = (bytes: Buffer) => {
    for (const name of readdirSync(directory))
      if (!readdirSync(kept).includes(name)) rmSync(join(directory, name), { recursive: true })
    for (const tree of ['bodies', 'cache', 'drafts']) {
      rmSync(join(directory, tree), { recursive: true, force: true })
      mkdirSync(join(directory, tree), { mode: 0o700 })
      cpSync(join(kept, tree), join(directory, tree), { recursive: true })
    }
    writeFileSync(join(directory, 'journal.sqlite'), bytes, { mode: 0o600 })
  }

  return {
    journal,
    async after(at, bit) {
      const flipped = Buffer.from(journal)
      flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << bit), at)
      putBack(flipped)
      const providers = [await copyOf(before[0]), await copyOf(before[1])] as const
      let store: Holdfast
      try {
        store = await open(providers, 'here')
      } catch (error) {
        expect(error, `byte ${at} bit ${bit}: opening`).toBeInstanceOf(HoldfastError)
        return 'refused'
      }
      try {
        return await judge(store, providers, `byte ${at} bit ${bit}`)
      } finally {
        await store.close()
      }
    },
  }
}

async function judge(store: Holdfast, providers: readonly Provider[], where: string): Promise<Outcome> {
  let isTold = false
  const tell = (error: unknown) => {
    expect(error, where).toBeInstanceOf(HoldfastError)
    isTold = true
  }
  const read = async () => {
    for (const [key, wanted] of promised) {
      try {
        const bytes = await (await store.get(key))?.bytes()
        const found = bytes === undefined ? undefined : Buffer.from(bytes)
        const isRight = wanted === undefined ? found === undefined : found?.equals(bodyFor(wanted.seed, wanted.size))
        expect(isRight, `${where}: what is served of ${key}`).toBe(true)
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error
        tell(error)
      }
    }
  }
  await read()
  try {
    await store.drain({ until: 'verified', signal: AbortSignal.timeout(1_500) })
  } catch (error) {
    if ((error as Error).name !== 'TimeoutError') tell(error)
    isTold = true
  }
  await read()
  const { blocked, pending, held, stage, left } = await store.status()
  if (blocked.writes + pending.writes + held.writes + left.length > 0 || stage.journal === 'poisoned') isTold = true
  if (stage.warnings.length > 0) isTold = true
  let isShort = false
  for (const provider of providers)
    for (const [key, wanted] of promised) {
      const found = await bodyAt(provider, key)
      const isRight = wanted === undefined ? found === undefined : found?.equals(bodyFor(wanted.seed, wanted.size))
      if (isRight === true) continue
      isShort = true
      // Older, or nothing: but never anything that nobody wrote.
      if (found !== undefined)
        expect(found.equals(bodyFor(key, found.byteLength)), `${where}: ${key} at ${provider.name}`).toBe(true)
    }
  return isTold ? 'told' : isShort ? 'short' : 'harmless'
}

/** Another provider with the same objects under the same name. */
async function copyOf(provider: Provider): Promise<Provider> {
  const copy = memory({ name: provider.name })
  const signal = AbortSignal.timeout(30_000)
  for await (const entry of provider.list({ prefix: '', delimiter: '', startAfter: '' }, signal)) {
    if (entry.type !== 'object') continue
    const answer = await provider.get({ key: entry.key, range: undefined, token: undefined }, signal)
    const bytes = await bodyAt(provider, entry.key)
    if (answer === undefined || bytes === undefined) continue
    const { headers, metadata } = answer.object
    const source = bytesSource(bytes, digestsOf(bytes))
    await copy.put({ key: entry.key, source, headers, metadata, condition: undefined, upload: noMemo }, signal)
  }
  return copy
}

/** Mulberry32: the same places for the same seed. */
export function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Where names stand that the journal goes by, in tables and in indexes. */
export function namesIn(journal: Buffer): number[] {
  const places: number[] = []
  for (const name of ['deleted later', 'replaced row', 'replaced file', 'new file', 'open', 'waiting', 'kept'])
    for (let at = journal.indexOf(name, pageBytes); at >= 0; at = journal.indexOf(name, at + 1)) places.push(at)
  return places
}

/** Flips bits for so long and counts what came of it: in turns of page headers, of names, and anywhere. */
export async function flipFor(ms: number): Promise<Record<Outcome, number>> {
  const given = process.env['HOLDFAST_SEED'] ?? '1'
  const seed = given === 'random' ? randomBytes(4).readUInt32BE() : Number(given)
  console.log(`seed ${seed}: HOLDFAST_SEED=${seed} repeats the bits`)
  const random = generator(seed)
  const { journal, after } = await flips()
  const pages = journal.byteLength / pageBytes
  const named = namesIn(journal)
  const pick = (n: number) => Math.floor(random() * n)
  const counted: Record<Outcome, number> = { refused: 0, told: 0, harmless: 0, short: 0 }
  const end = Date.now() + ms
  for (let n = 0; Date.now() < end; n++) {
    const page = pick(pages)
    const header = page === 0 ? pick(108) : page * pageBytes + pick(12)
    const at = [named[pick(named.length)] ?? 0, header, pick(journal.byteLength)][n % 3] ?? 0
    const bit = pick(8)
    const outcome = await after(at, bit)
    if (outcome === 'short') console.log(`byte ${at} bit ${bit}: not everywhere, and nobody says so`)
    counted[outcome]++
  }
  console.log(`of bits flipped in a journal of ${pages} pages: ${JSON.stringify(counted)}`)
  return counted
}
