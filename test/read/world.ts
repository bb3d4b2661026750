import type { Attributes } from '../../src/core/attributes.ts'
import { type BreakerOptions, createBreakers } from '../../src/core/breaker.ts'
import { digestsOf } from '../../src/core/digest.ts'
import { entryName, writeEntry } from '../../src/core/entry.ts'
import { compareKeys, markerKey } from '../../src/core/key.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { bytesSource, type Source } from '../../src/core/source.ts'
import { makeVersion, type Version } from '../../src/core/version.ts'
import type { CachedBody, KeyView, OpenKey, ProviderRow, ReplicaRow, WriteRow } from '../../src/journal/contract.ts'
import { memory } from '../../src/providers/memory.ts'
import { createReader } from '../../src/read/reader.ts'
import type { LocalBody, MissingCopy, ReadEvents, ReadOptions, StoredObject } from '../../src/read/types.ts'
import { manualClock, seededRandom } from '../../src/testing/clock.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { settle } from '../core/time.ts'

export const startMs = Date.UTC(2026, 0, 1)
export const attributes: Attributes = { contentType: 'text/plain', metadata: { owner: 'anna' } }

/** The n-th version of a test: a second apart, all in the past. */
export function version(n: number): Version {
  return makeVersion(startMs - 3_600_000 + n * 1000, 0, '00000000000000aa')
}

export interface Place {
  readonly id: number
  readonly faults: Faults
  readonly inner: Provider
  /** Bodies that were opened and not let go of. */
  readonly open: { now: number; ever: number }
  /** It was away: what it has of before is doubted. */
  doubtedUntil?: number
}

const never = new AbortController().signal

/** Two or more memory providers that go wrong on command, a journal made by hand, and a reader over them. */
export function world(
  options: Partial<ReadOptions> = {},
  more: { providers?: number; breaker?: Partial<BreakerOptions> } = {},
) {
  const clock = manualClock(startMs)
  const random = seededRandom(1)
  const names = ['first', 'second', 'third'].slice(0, more.providers ?? 2)
  const places: Place[] = []
  const views = new Map<string, KeyView>()
  const open = new Map<string, OpenKey>()
  const local = new Map<string, Source>()
  const missing: MissingCopy[] = []
  const observed: Version[] = []
  const events: { [E in keyof ReadEvents]: { event: E } & ReadEvents[E] }[keyof ReadEvents][] = []
  const rows: ProviderRow[] = []

  const providers = names.map((name, index) => {
    const inner = memory({ name, clock })
    const faults: Faults = {}
    const place: Place = { id: index + 1, faults, inner, open: { now: 0, ever: 0 } }
    places.push(place)
    rows.push({
      id: place.id,
      location: inner.location,
      name,
      identity: undefined,
      capabilities: undefined,
      health: undefined,
      isFilled: true,
      isStale: false,
    })
    const provider = counted(faulty(inner, faults, { clock }), place)
    return {
      id: place.id,
      provider,
      doubtedUntil: () => place.doubtedUntil,
      breakers: createBreakers({ clock, random, ...more.breaker }),
    }
  })
  const [first, second] = places as [Place, Place]

  const nothing: KeyView = {
    open: undefined,
    tentative: undefined,
    deleted: undefined,
    newest: undefined,
    cached: undefined,
  }
  const journal = {
    view: (key: string) => views.get(key) ?? nothing,
    openKeys: (prefix: string, after: string, limit: number) =>
      [...open.values()]
        .filter(({ key }) => key.startsWith(prefix) && compareKeys(key, after) > 0)
        .sort((a, b) => compareKeys(a.key, b.key))
        .slice(0, limit),
    providers: () => rows,
  }
  const localSource = (body: LocalBody) => local.get(localName(body)) ?? bytesSource(bytesOf(body), body)
  const reader = createReader({
    journal,
    providers,
    localSource,
    localBytes: body =>
      local.has(localName(body))
        ? Array.fromAsync(localSource(body).open(0, body.size)).then(chunks => Buffer.concat(chunks))
        : bytesOf(body),
    clock,
    random,
    options: { firstByteMs: 2000, idleMs: 15_000, absence: 'reachable', allowStale: false, hedge: false, ...options },
    onMissing: copy => missing.push(copy),
    observe: seen => observed.push(seen),
    emit: (event, payload) => void events.push({ event, ...payload } as (typeof events)[number]),
  })

  return {
    clock,
    reader,
    places,
    first,
    second,
    providers,
    rows,
    missing,
    observed,
    events,
    local,
    get: (key: string, range?: Parameters<typeof reader.get>[1], signal?: AbortSignal) =>
      reader.get(key, range, signal),
    head: (key: string, signal?: AbortSignal) => reader.head(key, signal),
    /** What the journal says of a key. */
    know(key: string, view: Partial<KeyView>): void {
      const versions = [view.open?.version, view.deleted, view.newest].filter(each => each !== undefined)
      const newest = versions.length === 0 ? undefined : versions.reduce((a, b) => (a > b ? a : b))
      views.set(key, { ...nothing, ...(newest === undefined ? {} : { newest }), ...view })
      if (view.open === undefined) open.delete(key)
      else open.set(key, openKeyOf(view.open))
    },
    /** An object as Holdfast writes it. */
    async store(
      place: Place,
      key: string,
      n: number,
      body: Uint8Array | string,
      given: Attributes = attributes,
    ): Promise<void> {
      const bytes = Buffer.from(body as string)
      const digests = digestsOf(bytes)
      const entry = {
        version: version(n),
        size: bytes.byteLength,
        crc32c: digests.crc32c,
        etag: digests.md5,
        partSize: undefined,
      }
      const { metadata, ...headers } = given
      await place.inner.put(
        {
          key,
          source: bytesSource(bytes, digests),
          headers,
          metadata: { ...metadata, [entryName]: writeEntry(key, entry) },
          condition: undefined,
          upload: noMemo,
        },
        never,
      )
    },
    /** An object that somebody wrote past Holdfast. */
    async storeForeign(place: Place, key: string, body: Uint8Array | string): Promise<void> {
      const bytes = Buffer.from(body as string)
      const source = bytesSource(bytes, digestsOf(bytes))
      const headers = { contentType: 'text/plain' }
      await place.inner.put({ key, source, headers, metadata: {}, condition: undefined, upload: noMemo }, never)
    },
    async mark(place: Place, key: string, n: number): Promise<void> {
      await this.store(place, markerKey(key), n, JSON.stringify({ format: 1, key, version: version(n) }))
    },
    asked: (place: Place): number => place.faults.calls?.length ?? 0,
    /** Lets time pass until the promise settles, each sleeper waking in its turn. */
    async passing<T>(promise: Promise<T>): Promise<T> {
      let isSettled = false
      const settled = () => {
        isSettled = true
      }
      promise.then(settled, settled)
      for (let steps = 0; steps < 100_000; steps++) {
        await settle()
        if (isSettled) return await promise
        const next = clock.nextMs
        if (next === undefined) throw new Error('nothing can happen any more, and the promise is still open')
        await clock.advance(next)
      }
      throw new Error('it takes for ever')
    },
  }
}

export type World = ReturnType<typeof world>

export interface RowOptions {
  readonly key: string
  readonly n: number
  readonly kind?: 'put' | 'delete'
  readonly body?: Uint8Array | string
  /** By provider. Default: waiting at both. */
  readonly at?: Readonly<Record<number, ReplicaRow['state']>>
  readonly damaged?: boolean
}

export function row({
  key,
  n,
  kind = 'put',
  body = '',
  at = { 1: 'waiting', 2: 'waiting' },
  damaged = false,
}: RowOptions): WriteRow {
  const bytes = Buffer.from(body as string)
  return {
    seq: n,
    key,
    version: version(n),
    kind,
    origin: 'app',
    state: 'open',
    condition: undefined,
    refusal: undefined,
    size: bytes.byteLength,
    ...digestsOf(bytes),
    attributes,
    layout: { etag: digestsOf(bytes).md5, parts: [{ count: 1, bytes: bytes.byteLength }] },
    keepsLayout: false,
    features: undefined,
    damaged,
    body: kind === 'put' ? { in: 'row', bytes } : { in: 'none' },
    acceptedAt: startMs,
    replicas: Object.entries(at).map(([provider, state]) => ({
      provider: Number(provider),
      state,
      attempt: 0,
      notBefore: 0,
      reason: undefined,
      message: undefined,
      token: undefined,
      proof: undefined,
      etag: undefined,
      partSize: undefined,
      storedAt: undefined,
      upload: undefined,
      isConfirmed: false,
    })),
  }
}

export function cachedRow(key: string, n: number, body: string): CachedBody {
  const bytes = Buffer.from(body)
  const { size, crc32c, md5, layout, keepsLayout, features } = row({ key, n, body })
  const kept = { attributes, layout, keepsLayout, features }
  return { key, version: version(n), body: { in: 'row', bytes }, size, crc32c, md5, ...kept }
}

function openKeyOf({ key, kind, version: of, size, layout, features, replicas }: WriteRow): OpenKey {
  const lacking = replicas.filter(({ state }) => state !== 'stored' && state !== 'verified')
  return {
    key,
    kind,
    version: of,
    size,
    etag: layout.etag,
    storageClass: features?.s3?.StorageClass,
    missingAt: lacking.map(({ provider }) => provider),
  }
}

function bytesOf({ body }: LocalBody): Uint8Array {
  if (body.in !== 'row') throw new Error('this test keeps bodies in rows')
  return body.bytes
}

/** What `local` is asked for: the tree and the digest. */
export function localName({ tree, crc32c }: Pick<LocalBody, 'tree' | 'crc32c'>): string {
  return `${tree}:${crc32c}`
}

function counted(provider: Provider, { open }: Place): Provider {
  return {
    ...provider,
    capabilities: provider.capabilities,
    async get(request, signal) {
      const found = await provider.get(request, signal)
      if (found === undefined) return undefined
      open.now++
      open.ever++
      let isOpen = true
      const close = () => {
        if (isOpen) open.now--
        isOpen = false
      }
      signal.addEventListener('abort', close, { once: true })
      return {
        ...found,
        body: (async function* () {
          try {
            yield* found.body
          } finally {
            close()
          }
        })(),
        async close() {
          close()
          await found.close()
        },
      }
    },
  }
}

export async function textOf(object: StoredObject | undefined): Promise<string | undefined> {
  return await object?.text()
}
