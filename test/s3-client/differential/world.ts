import type { Chance } from './chance.ts'

/** Which of the two clients a call is made with. */
export type Side = 'plain' | 'wrapped'

/** What each side says of the same thing. */
export type Both<T> = Readonly<Record<Side, T>>

/** One call, as it is made with each client; bodies and names that the service gave differ. */
export interface Call {
  readonly command: string
  readonly input: (side: Side) => Readonly<Record<string, unknown>>
  /** Learns from two answers that were found equal. */
  readonly learn?: (answers: Both<Readonly<Record<string, unknown>>>) => void
}

export interface KnownUpload {
  readonly key: string
  readonly id: Both<string>
  readonly algorithm: string | undefined
  readonly type: string | undefined
  readonly parts: Map<
    number,
    { readonly etag: string; readonly size: number; readonly checksums: Readonly<Record<string, unknown>> }
  >
}

/** What was learned from answers so far, of the kind that later calls are made of. */
export interface World {
  readonly bucket: string
  readonly chance: Chance
  /** Whether writes have storage classes, tags and the like, which only S3 keeps all. */
  readonly withFeatures: boolean
  /** Whether writes and deletes have conditions, which the primary decides. */
  readonly withConditions: boolean
  /** ETags by key, of writes that succeeded. */
  readonly etags: Map<string, string>
  readonly modified: Map<string, Both<Date>>
  /** Open ones, and some that were ended. */
  readonly uploads: KnownUpload[]
  /** Of listings that were cut, with the question that they belong to. */
  readonly tokens: { readonly question: Readonly<Record<string, unknown>>; readonly token: Both<string> }[]
  /** Of plain answers: where a page of uploads ended. */
  readonly uploadMarkers: { readonly key: string; readonly id: Both<string> }[]
}

export const keys = [
  'a',
  'a/b',
  'a/b/c d',
  'a-b',
  'ä ö+%25&<"\'>',
  'dir/',
  'dir/sub/日本.jpg',
  'dir/sub/x~(1)!*',
  'zz',
  '/lead//twice/',
  '😀',
] as const

export function newWorld(kind: Pick<World, 'bucket' | 'chance' | 'withFeatures' | 'withConditions'>): World {
  return {
    ...kind,
    etags: new Map(),
    modified: new Map(),
    uploads: [],
    tokens: [],
    uploadMarkers: [],
  }
}

/** Any key; mostly one that has an object. */
export function someKey({ chance, etags }: World): string {
  const there = [...etags.keys()]
  return there.length > 0 && chance.percent(70) ? (there[chance.below(there.length)] ?? 'a') : chance.one(keys)
}

/** With a part of the fields, each as likely as it says; those that are left out are not there. */
export function maybe(
  chance: Chance,
  fields: Readonly<Record<string, readonly [percent: number, value: () => unknown]>>,
): Record<string, unknown> {
  const taken: Record<string, unknown> = {}
  for (const [name, [percent, value]] of Object.entries(fields)) if (chance.percent(percent)) taken[name] = value()
  return taken
}

/** An ETag for a condition: the right one in some form, or a wrong one. */
export function someEtag(world: World, key: string): string {
  const { chance } = world
  const etag = world.etags.get(key) ?? `"${'0'.repeat(32)}"`
  return chance.weighted([
    [6, etag],
    [1, etag.replaceAll('"', '')],
    [1, `"${'f'.repeat(32)}", ${etag}`],
    [3, `"${'f'.repeat(32)}"`],
    [1, '*'],
  ])
}

/** A moment around the last modification, in whole seconds on both sides. */
export function someTime(world: World, key: string): (side: Side) => Date {
  const known = world.modified.get(key)
  const offset = world.chance.one([-86_400_000, 0, 0, 3_600_000])
  return side => new Date((known?.[side] ?? new Date(1_700_000_000_000)).getTime() + offset)
}
