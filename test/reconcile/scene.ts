import { digestsOf } from '../../src/core/digest.ts'
import { entryName, writeEntry } from '../../src/core/entry.ts'
import { markerKey } from '../../src/core/key.ts'
import type { Clock } from '../../src/core/ports.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { systemClock } from '../../src/core/system.ts'
import { makeVersion, type Version } from '../../src/core/version.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import type { HoldfastOptions } from '../../src/holdfast/options.ts'
import type { ReconcileOptions } from '../../src/holdfast/input/reconcile.ts'
import { memory } from '../../src/providers/memory.ts'
import type { Drift, ReconcileCounters } from '../../src/reconcile/types.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { FaultyCall, Faults } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, type TestDirectory, testDirectory } from '../support/store.ts'

export const never: AbortSignal = new AbortController().signal

/** A provider that counts what it is asked, and does wrong on command. */
export interface Place {
  readonly faults: Faults
  /** Past all faults and counting. */
  readonly inner: Provider
  readonly provider: Provider
}

/** `attests: false`: it says no digest of what it holds. */
export function place(name: string, clock: Clock = systemClock, attests = true): Place {
  const inner = attests ? memory({ name, clock }) : silent(memory({ name, clock }))
  const faults: Faults = {}
  return { faults, inner, provider: faulty(inner, faults) }
}

function silent(provider: Provider): Provider {
  const attested = {}
  return {
    ...provider,
    async head(key, signal) {
      const object = await provider.head(key, signal)
      return object && { ...object, attested }
    },
    async get(request, signal) {
      const answer = await provider.get(request, signal)
      return answer && { ...answer, object: { ...answer.object, attested } }
    },
    async *list(request, signal) {
      for await (const entry of provider.list(request, signal))
        yield entry.type === 'object' ? { ...entry, attested, etag: undefined } : entry
    },
  }
}

/** A store over two places or more that has attended to all of them. */
export interface Scene extends AsyncDisposable {
  readonly directory: TestDirectory
  readonly store: Holdfast
  readonly places: readonly Place[]
  readonly first: Place
  readonly second: Place
}

export async function scene(options: Partial<HoldfastOptions> & { readonly count?: number } = {}): Promise<Scene> {
  const { count = 2, ...more } = options
  const names = ['first', 'second', 'third'].slice(0, count)
  const places = names.map(name => place(`${name}-${String(++made)}`))
  const directory = await testDirectory()
  const [first, second, ...others] = places as [Place, Place, ...Place[]]
  const store = await directory.open([first.provider, second.provider, ...others.map(({ provider }) => provider)], more)
  await attended(store)
  for (const { faults } of places) faults.calls = []
  return { directory, store, places, first, second, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() }
}

let made = 0

/** Waits until the replicator was let in everywhere: what it writes on that occasion is its own. */
export async function attended(store: Holdfast): Promise<void> {
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
}

/** Puts keys and waits until every provider has them, twice looked at. */
export async function filled(store: Holdfast, keys: readonly string[]): Promise<void> {
  await Promise.all(keys.map(key => store.put(key, `body of ${key}`)))
  await store.drain({ until: 'verified' })
}

export interface Outcome {
  readonly drift: readonly Drift[]
  readonly counters: ReconcileCounters
}

export async function reconciled(store: Holdfast, options?: ReconcileOptions): Promise<Outcome> {
  const drift: Drift[] = []
  const run = store.reconcile(options)
  for await (const each of run) drift.push(each)
  return { drift, counters: await run }
}

/** What writes the providers were asked for, those for Holdfast's own upkeep left out. */
export function writesAt(places: readonly Place[]): readonly FaultyCall[] {
  return places
    .flatMap(({ faults }) => faults.calls ?? [])
    .filter(({ operation }) => operation === 'put' || operation === 'delete')
}

export function version(timeMs: number): Version {
  return makeVersion(timeMs, 1, '00000000000000aa')
}

export interface Planted {
  readonly body?: string
  /** Of an entry of ours; without, the object is foreign. */
  readonly version?: Version
  /** What the entry says instead of the truth. */
  readonly claims?: { readonly size?: number; readonly crc32c?: string; readonly key?: string }
  readonly contentType?: string
  readonly metadata?: Readonly<Record<string, string>>
}

/** Puts an object past the store. */
export async function plant(provider: Provider, key: string, planted: Planted = {}): Promise<void> {
  const { body = `body of ${key}`, claims = {} } = planted
  const bytes = Buffer.from(body)
  const digests = digestsOf(bytes)
  const metadata: Record<string, string> = { ...planted.metadata }
  if (planted.version !== undefined) {
    const entry = { size: bytes.byteLength, ...digests, ...claims, etag: digests.md5, partSize: undefined }
    metadata[entryName] = writeEntry(claims.key ?? key, { ...entry, version: planted.version })
  }
  await provider.put(
    {
      key,
      source: bytesSource(bytes, digests),
      headers: { contentType: planted.contentType ?? 'application/octet-stream' },
      metadata,
      condition: undefined,
      upload: noMemo,
    },
    never,
  )
}

/** Puts the marker of a delete, as another directory would. */
export async function mark(provider: Provider, key: string, of: Version): Promise<void> {
  await plant(provider, markerKey(key), { body: JSON.stringify({ format: 1, key, version: of }), version: of })
}

/** Takes an object away past the store. */
export async function lose(provider: Provider, key: string): Promise<void> {
  await provider.delete(key, undefined, never)
}

export async function textAt({ inner }: Place, key: string): Promise<string | undefined> {
  return (await bodyAt(inner, key))?.toString()
}
