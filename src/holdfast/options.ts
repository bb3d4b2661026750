import { isAbsolute, parse, resolve } from 'node:path'
import { invalid, shown } from '../core/errors.ts'
import type { Provider } from '../core/provider.ts'
import { longestTimerMs } from './input/calls.ts'
import { checkProvider, demandApart, demandOutside } from './input/providers.ts'
import { type AckLevel, checkAck } from './input/put.ts'
import { flag, oneOf, reading, take, takeInner, whole } from './input/take.ts'

/** Of `openHoldfast`. An unknown name is INVALID, with the nearest that is known. */
export interface HoldfastOptions {
  /** Absolute path on a local disk. Created with mode 0700 if missing. May be shared by processes of one machine. */
  readonly directory: string
  /** 'durable' (default): refuses memory file systems. 'ephemeral': takes any, and raises `ack` to at least 'one'. */
  readonly disk?: 'durable' | 'ephemeral'
  /** Asked first, and the one that decides conditional writes. */
  readonly primary: Provider
  /** The other copy: another company, if the loss of an account is to be survived. */
  readonly secondary: Provider
  /** Further copies, in read order after the secondary: one that is being filled, or a third cloud. Default none. */
  readonly mirrors?: readonly Provider[]
  /** When `put` and `delete` resolve: on local disk, when one provider has it too, when all have. Default 'local'. */
  readonly ack?: AckLevel
  /** For 'one' and 'all': then reject with ACK_TIMEOUT (accepted, on its way). Milliseconds; default 30_000. */
  readonly ackTimeoutMs?: number
  /**
   * Between the two looks at each copy. Milliseconds; default 900_000. Below 120_000 the second look may come before a late request of
   * another writer has ended. 0: look at once. At most half of `tombstoneDays`, and 24 days.
   */
  readonly holdMs?: number
  /** Bytes held for the second look before the oldest are looked at early, never before 120 s. Default half of maxStageBytes, and at most all of it. */
  readonly maxHeldBytes?: number
  /** Bytes on local disk not yet released; over it, puts are refused (NO_SPACE) before their body is read. Default 10 GiB. */
  readonly maxStageBytes?: number
  /**
   * Bytes kept as a last resort once released, least recently used go first. Default 0. Objects that were uploaded in parts are not kept: their
   * bodies are many files.
   */
  readonly cacheBytes?: number
  /**
   * 'strict' (default): keys that every configured provider stores verbatim. 'encode': any key; what one of them could not hold is escaped as `!HH`, the same
   * name at every provider. Then listings are in the order of names, and FORMAT.md says what the names are.
   */
  readonly keys?: 'strict' | 'encode'
  /** How long delete markers are kept, in days. Default 90. */
  readonly tombstoneDays?: number
  /** What happens to objects written past Holdfast that are newer than ours: mirrored too (default), or only reported. */
  readonly foreign?: 'adopt' | 'report'
  /** How reads behave when a provider does not. */
  readonly reads?: ReadOptions
  /** By which process, and how fast. */
  readonly replication?: ReplicationOptions
  /**
   * Looks at every object of all providers again and again, slowly, by whichever process replicates: one head each at every provider; `deep`: reads the
   * bytes too. What differs is repaired; what looks like a mass change stops it. Default off.
   */
  readonly scrub?: ScrubOptions
  /** Objects that arrive in parts. */
  readonly uploads?: {
    /** An upload that nobody added to for so long is dropped with its parts. Milliseconds; default 604_800_000 (7 days). */
    readonly idleMs?: number
  }
}

/** How reads behave when a provider does not. */
export interface ReadOptions {
  /** Until the next provider is asked. Milliseconds; default 2_000. */
  readonly firstByteMs?: number
  /** Between bytes of a body, before it goes on elsewhere. Milliseconds; default 15_000. */
  readonly idleMs?: number
  /** 'all': absence needs a 404 of every provider, else UNAVAILABLE. Default 'reachable': the primary's (once it is filled), and of every other that answers. */
  readonly absence?: 'reachable' | 'all'
  /** Serve the released local copy, marked stale, when no provider answers. Default false. */
  readonly allowStale?: boolean
  /**
   * Where the provider that is asked is slower than 95 % of its own recent answers, the next one is asked too, and the first answer that may be believed is served. At
   * most one read in ten costs a second request for it. Default false.
   */
  readonly hedge?: boolean
}

/** By which process writes are carried to the providers, and how fast. */
export interface ReplicationOptions {
  /** 'external': this process only accepts and reads; `holdfast worker` on the same directory replicates. Default 'here'. */
  readonly run?: 'here' | 'external'
  /** Objects in flight per provider at most; adapts below it. 1 to 1,000; default 16. */
  readonly concurrency?: number
  /** Per provider, all requests of the replicator together. May be a fraction. Default unlimited. */
  readonly maxRequestsPerSecond?: number
}

/** How fast, and how closely, everything is looked at again and again. */
export interface ScrubOptions {
  /** Keys in 24 hours, spread evenly. 1 to 1,000,000,000; no default. */
  readonly objectsPerDay: number
  /** Reads every copy and compares its bytes: costs its transfer. Default false. */
  readonly deep?: boolean
}

/** The options with all defaults in them. */
export interface CheckedOptions {
  /** Absolute, without `..` or a `/` at its end. */
  readonly directory: string
  readonly disk: 'durable' | 'ephemeral'
  /** Primary, secondary, then the mirrors. */
  readonly providers: readonly [Provider, Provider, ...Provider[]]
  /** At least 'one' on an ephemeral disk. */
  readonly ack: AckLevel
  readonly ackTimeoutMs: number
  readonly holdMs: number
  readonly maxHeldBytes: number
  readonly maxStageBytes: number
  readonly cacheBytes: number
  readonly keys: 'strict' | 'encode'
  readonly tombstoneDays: number
  readonly foreign: 'adopt' | 'report'
  readonly reads: Required<ReadOptions>
  readonly replication: {
    readonly run: 'here' | 'external'
    readonly concurrency: number
    /** `undefined`: unlimited. */
    readonly maxRequestsPerSecond: number | undefined
  }
  readonly scrub: Required<ScrubOptions> | undefined
  readonly uploads: { readonly idleMs: number }
}

const names = [
  'directory',
  'disk',
  'primary',
  'secondary',
  'mirrors',
  'ack',
  'ackTimeoutMs',
  'holdMs',
  'maxHeldBytes',
  'maxStageBytes',
  'cacheBytes',
  'keys',
  'tombstoneDays',
  'foreign',
  'reads',
  'replication',
  'scrub',
  'uploads',
] as const satisfies readonly (keyof HoldfastOptions)[]

const readNames = [
  'firstByteMs',
  'idleMs',
  'absence',
  'allowStale',
  'hedge',
] as const satisfies readonly (keyof ReadOptions)[]

const replicationNames = [
  'run',
  'concurrency',
  'maxRequestsPerSecond',
] as const satisfies readonly (keyof ReplicationOptions)[]

const mostBytes = Number.MAX_SAFE_INTEGER
const dayMs = 86_400_000

/**
 * Looks at the options alone: no disk, no network. INVALID, field the option (`reads.idleMs` for one inside another): rule `type`,
 * `missing`, `unknown` (with a suggestion), `value`, `range`; of `directory` also `relative`, `root`, `unicode`, `overlap` (with the root
 * of a provider); of providers also `duplicate`, `overlap`, `name`. TypeError where the options are no object, or what
 * should be a provider is none.
 */
export function checkOptions(options: unknown): CheckedOptions {
  if (options === undefined) throw new TypeError('openHoldfast needs options: directory, primary and secondary')
  const given = take(options, names, 'openHoldfast')
  const directory = checkDirectory(given.directory)
  const disk = oneOf('disk', given.disk, ['durable', 'ephemeral'], 'durable')
  const providers = checkProviders(directory, given.primary, given.secondary, given.mirrors)
  const maxStageBytes = wholeOr('maxStageBytes', given.maxStageBytes, 1, mostBytes, 10 * 2 ** 30)
  const tombstoneDays = wholeOr('tombstoneDays', given.tombstoneDays, 1, 36_500, 90)
  return {
    directory,
    disk,
    providers,
    ack: atLeast(disk, checkAck(given.ack) ?? 'local'),
    ackTimeoutMs: wholeOr('ackTimeoutMs', given.ackTimeoutMs, 0, longestTimerMs, 30_000),
    // A write held longer would outlive what is known of the deletes since.
    holdMs: wholeOr('holdMs', given.holdMs, 0, Math.min(longestTimerMs, (tombstoneDays * dayMs) / 2), 900_000),
    maxHeldBytes: checkHeld(given.maxHeldBytes, maxStageBytes),
    maxStageBytes,
    cacheBytes: wholeOr('cacheBytes', given.cacheBytes, 0, mostBytes, 0),
    keys: oneOf('keys', given.keys, ['strict', 'encode'], 'strict'),
    tombstoneDays,
    foreign: oneOf('foreign', given.foreign, ['adopt', 'report'], 'adopt'),
    reads: checkReads(given.reads),
    replication: checkReplication(given.replication),
    scrub: checkScrub(given.scrub),
    uploads: checkUploads(given.uploads),
  }
}

/** The level that a write is acknowledged at: on a disk that may vanish, never before a provider has it. */
export function atLeast(disk: 'durable' | 'ephemeral', ack: AckLevel): AckLevel {
  return disk === 'ephemeral' && ack === 'local' ? 'one' : ack
}

function checkReads(options: unknown): CheckedOptions['reads'] {
  const { firstByteMs, idleMs, absence, allowStale, hedge } = takeInner('reads', options, readNames)
  return {
    firstByteMs: wholeOr('reads.firstByteMs', firstByteMs, 1, longestTimerMs, 2000),
    idleMs: wholeOr('reads.idleMs', idleMs, 1, longestTimerMs, 15_000),
    absence: oneOf('reads.absence', absence, ['reachable', 'all'], 'reachable'),
    allowStale: flag('reads.allowStale', allowStale, false),
    hedge: flag('reads.hedge', hedge, false),
  }
}

function checkReplication(options: unknown): CheckedOptions['replication'] {
  const { run, concurrency, maxRequestsPerSecond } = takeInner('replication', options, replicationNames)
  return {
    run: oneOf('replication.run', run, ['here', 'external'], 'here'),
    concurrency: wholeOr('replication.concurrency', concurrency, 1, 1000, 16),
    maxRequestsPerSecond: checkRate(maxRequestsPerSecond),
  }
}

function checkScrub(options: unknown): CheckedOptions['scrub'] {
  if (options === undefined) return undefined
  const { objectsPerDay, deep } = takeInner('scrub', options, ['objectsPerDay', 'deep'])
  if (objectsPerDay === undefined)
    throw invalid(
      'scrub.objectsPerDay',
      'missing',
      'scrub.objectsPerDay is missing: how many keys to look at in 24 hours',
    )
  return {
    objectsPerDay: whole('scrub.objectsPerDay', objectsPerDay, 1, 1_000_000_000),
    deep: flag('scrub.deep', deep, false),
  }
}

function checkUploads(options: unknown): CheckedOptions['uploads'] {
  const { idleMs } = takeInner('uploads', options, ['idleMs'])
  return { idleMs: wholeOr('uploads.idleMs', idleMs, 1, 36_500 * dayMs, 7 * dayMs) }
}

function checkRate(value: unknown): number | undefined {
  const field = 'replication.maxRequestsPerSecond'
  if (value === undefined) return undefined
  if (typeof value !== 'number') throw invalid(field, 'type', `${field} must be a number, got ${shown(value)}`)
  if (value > 0 && value <= 1_000_000) return value
  throw invalid(
    field,
    'range',
    `${field} must be more than 0 and at most 1000000 (unlimited: leave it out), got ${value}`,
  )
}

function checkHeld(value: unknown, maxStageBytes: number): number {
  const held = wholeOr('maxHeldBytes', value, 0, mostBytes, Math.floor(maxStageBytes / 2))
  if (held <= maxStageBytes) return held
  throw invalid('maxHeldBytes', 'range', `maxHeldBytes ${held} is more than maxStageBytes, ${maxStageBytes}`)
}

function checkDirectory(directory: unknown): string {
  if (directory === undefined) throw invalid('directory', 'missing', 'directory is missing: an absolute path')
  if (typeof directory !== 'string' || directory === '') {
    throw invalid('directory', 'type', `directory must be an absolute path, got ${shown(directory)}`)
  }
  if (!directory.isWellFormed() || directory.includes('\0')) {
    throw invalid('directory', 'unicode', `directory has characters that no path can have: ${shown(directory)}`)
  }
  if (!isAbsolute(directory)) {
    throw invalid('directory', 'relative', `directory must be an absolute path, got ${shown(directory)}`)
  }
  const path = resolve(directory)
  if (path === parse(path).root) throw invalid('directory', 'root', 'directory is the root of the file system')
  return path
}

function checkProviders(
  directory: string,
  primary: unknown,
  secondary: unknown,
  mirrors: unknown,
): CheckedOptions['providers'] {
  for (const [field, value] of Object.entries({ primary, secondary })) {
    if (value === undefined) throw invalid(field, 'missing', `${field} is missing: a provider, such as s3({ bucket })`)
  }
  const others = mirrors === undefined ? [] : listed(mirrors)
  if (others === undefined) {
    throw invalid('mirrors', 'type', `mirrors must be an array of providers, got ${shown(mirrors)}`)
  }
  const first = checkProvider('primary', primary)
  const second = checkProvider('secondary', secondary)
  const more = others.map((mirror, index) => checkProvider(`mirrors[${index}]`, mirror))
  const placed = [
    { field: 'primary', provider: first },
    { field: 'secondary', provider: second },
    ...more.map((provider, index) => ({ field: `mirrors[${index}]`, provider })),
  ]
  demandApart(placed)
  demandOutside(directory, placed)
  return [first, second, ...more]
}

function listed(value: unknown): unknown[] | undefined {
  return reading('mirrors', 'mirrors', () => (Array.isArray(value) ? Array.from(value) : undefined))
}

function wholeOr(field: string, value: unknown, least: number, most: number, otherwise: number): number {
  return value === undefined ? otherwise : whole(field, value, least, most)
}
