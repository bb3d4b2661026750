import { digester, type Digests, hexToBase64 } from '../../../core/digest.ts'
import type { Body } from '../bodies.ts'
import { type Change, type Entry, openStore, type Space, type Store } from '../store.ts'
import { type Conditions, demand } from './conditions.ts'
import { noBucket, refuse } from './refusal.ts'
import type { Described, ObjectFacts } from './resource.ts'

/** All buckets with their objects, and the rules that hold for each change of an object whichever way it is asked for. */
export interface Keeper {
  readonly store: Store
  readonly buckets: Space<BucketFacts>
  /** Refuses when there is no such bucket. */
  objects(bucket: string): Space<ObjectFacts>
  find(bucket: string, key: string): Entry<ObjectFacts> | undefined
  /**
   * Puts an object in place of what is there, if the conditions hold of that; with the other changes, or not at all. The entry that is
   * there then. Refuses where a hold, a retention policy or the rate of changes forbids it.
   */
  put(object: NewObject, conditions: Conditions, also?: readonly Change[]): Entry<ObjectFacts>
  /** False where there was nothing. */
  remove(bucket: string, key: string, conditions: Conditions): boolean
  /** Another description of the same bytes. */
  describe(bucket: string, key: string, entry: Entry<ObjectFacts>, described: Described): Entry<ObjectFacts>
  /** Of a body that is kept, base64. */
  digest(body: Body): Promise<Sums>
}

export interface NewObject {
  readonly bucket: string
  readonly key: string
  readonly described: Described
  readonly body: Body
  readonly sums: Sums
  readonly componentCount?: number
}

/** Base64, as the JSON API says them. */
export interface Sums {
  readonly crc32c: string
  readonly md5Hash?: string
}

export interface BucketFacts {
  readonly timeCreated: string
  readonly updated: string
  readonly metageneration: number
  /** What clients said of it: shown, and `retentionPolicy.retentionPeriod` kept to. */
  readonly said: Readonly<Record<string, unknown>>
}

export interface KeeperOptions {
  readonly directory: string | undefined
  readonly discard: boolean
  readonly oneMutationPerSecond: boolean
}

export function sumsOf({ crc32c, md5 }: Digests): Required<Sums> {
  return { crc32c: hexToBase64(crc32c), md5Hash: hexToBase64(md5) }
}

export function openKeeper({ directory, discard, oneMutationPerSecond }: KeeperOptions): Keeper {
  const store = openStore({ kind: 'gcs', directory, discard })
  const buckets = store.space<BucketFacts>('buckets')
  const spaceOf = (bucket: string): Space<ObjectFacts> => store.space(`objects/${bucket}`)
  const changedAt = new Map<string, number>()
  let lastGeneration = highestGeneration()

  function highestGeneration(): bigint {
    let highest = 0n
    for (const bucket of buckets.keys({ from: '' })) {
      const space = spaceOf(bucket)
      for (const key of space.keys({ from: '' })) {
        const generation = BigInt(space.get(key)?.facts.generation ?? 0)
        if (generation > highest) highest = generation
      }
    }
    return highest
  }

  /** Microseconds since 1970, as at Google, and always more than the last. */
  function nextGeneration(): string {
    const now = BigInt(Date.now()) * 1000n
    lastGeneration = now > lastGeneration ? now : lastGeneration + 1n
    return String(lastGeneration)
  }

  function objects(bucket: string): Space<ObjectFacts> {
    if (buckets.get(bucket) === undefined) refuse(noBucket())
    return spaceOf(bucket)
  }

  function mayChange(bucket: string, key: string, facts: ObjectFacts | undefined): void {
    if (oneMutationPerSecond) keepRate(`${bucket}/${key}`)
    if (facts === undefined) return
    if (facts.temporaryHold === true || facts.eventBasedHold === true) {
      const kind = facts.temporaryHold === true ? 'Temporary' : 'Event-Based'
      const message =
        `Object '${bucket}/${key}' is under active ${kind} hold and cannot be deleted, overwritten or archived ` +
        'until hold is removed.'
      refuse({ status: 403, reason: 'objectUnderActiveHold', message })
    }
    const until = Date.parse(facts.timeCreated) + retentionMs(buckets.get(bucket)?.facts)
    if (until <= Date.now()) return
    const message =
      `Object '${bucket}/${key}' is subject to bucket's retention policy or object retention and cannot be ` +
      `deleted or overwritten until ${new Date(until).toISOString()}`
    refuse({ status: 403, reason: 'retentionPolicyNotMet', message })
  }

  function keepRate(name: string): void {
    const now = Date.now()
    const last = changedAt.get(name)
    if (last !== undefined && now - last < 1000) {
      const message =
        `The object ${name} exceeded the rate limit for object mutation operations (create, update, and delete). ` +
        'Please reduce your request rate. See https://cloud.google.com/storage/docs/gcs429.'
      refuse({ status: 429, reason: 'rateLimitExceeded', message })
    }
    if (changedAt.size > 100_000) changedAt.clear()
    changedAt.set(name, now)
  }

  return {
    store,
    buckets,
    objects,
    find: (bucket, key) => objects(bucket).get(key),
    put({ bucket, key, described, body, sums, componentCount }, conditions, also = []) {
      const space = objects(bucket)
      const old = space.get(key)?.facts
      demand(conditions, old)
      mayChange(bucket, key, old)
      const now = new Date().toISOString()
      const facts: ObjectFacts = {
        ...described,
        generation: nextGeneration(),
        metageneration: 1,
        ...sums,
        ...(componentCount === undefined ? {} : { componentCount }),
        timeCreated: now,
        updated: now,
      }
      const entry = { facts, body }
      store.commit([space.put(key, entry), ...also])
      return entry
    },
    remove(bucket, key, conditions) {
      const space = objects(bucket)
      const entry = space.get(key)
      if (entry === undefined) return false
      demand(conditions, entry.facts)
      mayChange(bucket, key, entry.facts)
      store.commit([space.remove(key)])
      return true
    },
    describe(bucket, key, entry, described) {
      if (oneMutationPerSecond) keepRate(`${bucket}/${key}`)
      const { generation, metageneration, crc32c, md5Hash, componentCount, timeCreated } = entry.facts
      const facts: ObjectFacts = {
        ...described,
        generation,
        metageneration: metageneration + 1,
        crc32c,
        ...(md5Hash === undefined ? {} : { md5Hash }),
        ...(componentCount === undefined ? {} : { componentCount }),
        timeCreated,
        updated: new Date().toISOString(),
      }
      const changed = { facts, body: entry.body }
      store.commit([objects(bucket).put(key, changed)])
      return changed
    },
    async digest(body) {
      const digests = digester()
      const opened = store.open(body, 0, body.size)
      if (opened instanceof Uint8Array) digests.update(opened)
      else {
        try {
          for await (const chunk of opened.chunks()) digests.update(chunk)
        } finally {
          opened.close()
        }
      }
      return sumsOf(digests.finish())
    },
  }
}

function retentionMs(bucket: BucketFacts | undefined): number {
  const policy = bucket?.said['retentionPolicy'] as { retentionPeriod?: unknown } | null | undefined
  return Number(policy?.retentionPeriod ?? 0) * 1000
}
