import { HoldfastError, invalid } from '../core/errors.ts'
import { createBreakers } from '../core/breaker.ts'
import { guardProvider } from '../core/guarded.ts'
import { systemClock, systemRandom } from '../core/system.ts'
import type { Clock, Disk, Random } from '../core/ports.ts'
import { newWriter } from '../core/version.ts'
import type { Journal, WriteRow } from '../journal/contract.ts'
import type { OpenedJournal, OpenJournal } from '../journal/port.ts'
import { openJournal as openSqlite } from '../journal/sqlite.ts'
import { createReader } from '../read/reader.ts'
import { checkProvider } from '../replicate/check.ts'
import { healing as healingOf } from '../replicate/healing.ts'
import { mend, repairLimits } from '../replicate/repair.ts'
import { leastHeldMs } from '../replicate/housekeeping.ts'
import { startReplicator } from '../replicate/replicator.ts'
import { openRoom } from '../replicate/room.ts'
import { openDirectory } from '../stage/directory.ts'
import { nodeDisk } from '../stage/disk.ts'
import { poisoned as poisonedError } from '../stage/failures.ts'
import { openStage, type Stage } from '../stage/stage.ts'
import { adopt } from './adopt.ts'
import { doubtOf } from './doubt.ts'
import { encoded } from './encoded.ts'
import { events, type HoldfastEvents } from './events.ts'
import { type Holdfast, holdfast } from './holdfast.ts'
import { atLeast, type CheckedOptions, checkOptions, type HoldfastOptions } from './options.ts'
import type { FillingDeps } from './fill.ts'
import { localBodies } from './local.ts'
import { scrubbing } from './scrubbing.ts'
import type { StatusDeps } from './status.ts'
import { waitingFor } from './waiting.ts'
import type { WriteDeps } from './writes.ts'

/** Calls to providers that somebody waits for: `adopt`, `check`, `signedUrl`. */
const callLimits = { idleMs: 30_000, deadlineMs: 60_000, minBytesPerSecond: 16 * 1024 }

/** How often whoever waits looks whether another process poisoned the directory. */
const poisonLookMs = 1_000

/** How long `status()` shows a failure of the replicator that did not come again. */
const failureShownMs = 60_000

/** Directories that are open in this process: SQLite's locks keep processes apart, not two stores of one. */
const openHere = new Set<string>()

/** What reaches the outside world, for tests that want to decide what it does. */
export interface Ports {
  readonly disk: Disk
  readonly clock: Clock
  readonly random: Random
  readonly openJournal?: OpenJournal
}

const systemPorts: Ports = { disk: nodeDisk, clock: systemClock, random: systemRandom }

/**
 * Opens the directory, recovers what was pending, starts replicating. Needs no network: never waits for a provider and never fails because
 * of one. What a provider says (wrong credentials, no such bucket) makes it `blocked` in `status()`, with an event; `check()` names the
 * remedy.
 *
 * Rejects only for the machine's and the caller's own faults: INVALID with the option's name as `field` (`directory`: `permissions`,
 * `filesystem`, `open` …; `journal`/`version`), UNAVAILABLE `journal`/`version` (a process of an older version has it open: close that one
 * first), CORRUPT (`journal`, `directory`), NO_SPACE for a new directory on a full disk, UNSUPPORTED, TypeError where a provider is none.
 */
export function openHoldfast(options: HoldfastOptions): Promise<Holdfast> {
  return openWith(options, systemPorts)
}

/** The same through given ports. */
export async function openWith(options: HoldfastOptions, ports: Ports): Promise<Holdfast> {
  const checked = checkOptions(options)
  const { disk, clock, random, openJournal = openSqlite } = ports
  if (openHere.has(checked.directory))
    throw invalid(
      'directory',
      'open',
      `directory ${checked.directory} is open in this process already: use that store, or close it first`,
    )
  openHere.add(checked.directory)
  try {
    const directory = await openDirectory({ path: checked.directory, kind: checked.disk, disk, random, clock })
    const opened = await openJournal({
      path: directory.path,
      directory: directory.identity,
      writer: newWriter(random),
      clock,
    })
    const { journal } = opened
    try {
      const { maxStageBytes } = checked
      const stage = openStage({ directory, random, clock, maxStageBytes, stagedBytes: journal.stagedBytes })
      await verifyAll(opened, stage)
      const warnings = [...directory.warnings]
      return await assemble(checked, ports, journal, stage, warnings)
    } catch (error) {
      await journal.close()
      throw error
    }
  } catch (error) {
    openHere.delete(checked.directory)
    throw error
  }
}

/**
 * After a write to this directory failed, the page cache may show what the disk does not have. Every body is read and compared before
 * anything is promised again; one that is not what it was is named, and goes nowhere.
 */
async function verifyAll({ journal, verification }: OpenedJournal, stage: Stage): Promise<void> {
  if (verification === undefined) return
  const damaged = new Map<number, string>()
  for (const row of verification.bodies()) {
    if (row.damaged) damaged.set(row.seq, 'the journal row of this write is damaged')
    const { body } = row
    const files = body.in === 'file' ? [{ ...row, file: body.file }] : body.in === 'parts' ? body.parts : []
    for await (const { error } of stage.verifyBodies(files)) damaged.set(row.seq, error.message)
  }
  await stage.sweep.all()
  await stage.refsync()
  await verification.done()
  await stage.clearPoison()
  const lease = damaged.size === 0 ? undefined : await journal.lease()
  for (const [seq, message] of damaged) {
    for (const { provider, state } of journal.write(seq)?.replicas ?? [])
      if (state === 'waiting') await lease?.block(seq, provider, 'LOCAL_CORRUPT', message)
  }
  await lease?.end()
}

/** Puts the parts together: who calls whom is decided here and nowhere else. */
async function assemble(
  options: CheckedOptions,
  { clock, random }: Ports,
  journal: Journal,
  stage: Stage,
  warnings: readonly string[],
): Promise<Holdfast> {
  const rows = await journal.register(options.providers.map(({ location, name }) => ({ location, name })))
  const told = events()
  const { emit } = told
  const emitAny = (event: keyof HoldfastEvents, payload: unknown) =>
    emit(event, payload as HoldfastEvents[typeof event])
  const closing = new AbortController()
  let poisoned: HoldfastError | undefined
  let stumble: { readonly message: string; readonly at: number } | undefined
  const providers = options.providers.map((raw, index) => {
    const row = rows[index] as (typeof rows)[number]
    return { id: row.id, row, raw, provider: guardProvider(raw, { clock, ...callLimits }) }
  })
  const byId = new Map(providers.map(({ id, raw }) => [id, guardProvider(raw, { clock, ...repairLimits })]))
  const sourceOf = ({ body, size, crc32c, md5 }: WriteRow) => {
    if (body.in === 'none') return stage.source({ in: 'row', bytes: new Uint8Array() }, size, { crc32c, md5 })
    return stage.source(body, size, { crc32c, md5 })
  }
  const configured = new Set(rows.map(({ id }) => id))
  let lookedAt = Number.NEGATIVE_INFINITY
  /** The journal's thread may have ended, another process may have poisoned the directory: whoever waits here for what it will say would wait for ever. */
  const failure = () => {
    poisoned ??= journal.failed()
    if (poisoned === undefined && clock.monotonic() - lookedAt > poisonLookMs) {
      lookedAt = clock.monotonic()
      const note = (is: boolean) => {
        if (is) poisoned ??= poisonedError(options.directory, undefined)
      }
      stage.isPoisoned().then(note, () => {})
    }
    return poisoned
  }
  const waiting = waitingFor({ journal, clock, closing: closing.signal, failure })
  const doubt = doubtOf(journal, providers, clock, (options.tombstoneDays * 86_400_000) / 2)
  told.on('stale-provider', doubt.forget)
  const writes: WriteDeps = {
    journal,
    stage,
    clock,
    configured,
    waiting,
    providers,
    ackFor: own => atLeast(options.disk, own ?? options.ack),
    ackTimeoutMs: options.ackTimeoutMs,
    maxStageBytes: options.maxStageBytes,
    doubt,
    closing: closing.signal,
  }
  const takeIn = async (key: string, from: string, signal: AbortSignal) => {
    const { version } = await adopt(writes, key, { from }, signal)
    return version
  }
  const room = openRoom({ journal, clock, maxStageBytes: options.maxStageBytes })
  const mending = { journal, stage, room, maxStageBytes: options.maxStageBytes, clock }
  const heal = mend({ ...mending, providers: byId, mirrorsForeign: options.foreign === 'adopt' })
  const healing = healingOf({
    mend: async (repair, signal) => {
      const { wanted } = repair
      const isSafe = wanted.is === 'delete' || (await doubt.mayGive(wanted.source, signal))
      return isSafe ? heal(repair, signal) : { is: 'settled' }
    },
    clock,
    repaired: ({ key, version, missingAt }) =>
      emit('repair', { key, version, providers: missingAt.map(id => byId.get(id)?.name ?? String(id)) }),
    signal: closing.signal,
  })
  const reader = createReader({
    journal,
    providers: providers.map(({ id, raw }) => ({
      id,
      provider: raw,
      breakers: createBreakers({ clock, random }),
      doubtedUntil: () => doubt.until(id),
    })),
    ...localBodies(stage),
    clock,
    random,
    options: options.reads,
    onMissing: ({ foundAt, ...missing }) => {
      // Here is the body of an open write, kept until every provider has it: the first that gets it is the source of the next read's repair.
      if (foundAt !== 'local') healing.queue({ ...missing, foundAt })
    },
    observe: version => {
      // Worth nothing if it fails: the next read sees the version again.
      journal.observe(version).catch(() => {})
    },
    emit: emitAny,
  })
  told.on('stale', ({ key, from }) => {
    // Worth nothing if it fails: the next eviction may take this one a little early.
    if (from === 'local') journal.touch(key).catch(() => {})
  })
  const stumbled = (error: HoldfastError) => {
    stumble = { message: error.message, at: clock.monotonic() }
    if (error.rule !== 'poisoned') return
    poisoned = error
    emit('poisoned', { message: error.message })
  }
  const { run, concurrency, maxRequestsPerSecond } = options.replication
  const replicator =
    run === 'external'
      ? undefined
      : startReplicator({
          journal,
          stage,
          providers: providers.map(({ raw, row }) => ({ provider: raw, row })),
          sourceOf,
          adopt: takeIn,
          clock,
          random,
          options: { ...options, concurrency, maxRequestsPerSecond },
          emit: emitAny,
          failed: stumbled,
        })
  const compare: FillingDeps = {
    journal,
    doubt,
    clock,
    providers: providers.map(({ id, raw }) => ({ id, provider: byId.get(id) ?? raw })),
    mirrorsForeign: options.foreign === 'adopt',
    mendWith: (sides, mirrorsForeign = options.foreign === 'adopt') =>
      mend({ ...mending, providers: new Map(sides.map(({ id, provider }) => [id, provider])), mirrorsForeign }),
    closing: closing.signal,
    waiting,
    roomBytes: room.bytes,
    holdMs: Math.min(options.holdMs, leastHeldMs),
  }
  const scrubber =
    options.scrub === undefined || run === 'external'
      ? undefined
      : scrubbing(
          compare,
          {
            ...options.scrub,
            found: drift => emit('drift', drift),
            told: state => emit('scrub', state),
            failed: stumbled,
          },
          closing.signal,
        )
  if (scrubber !== undefined) told.on('lease', ({ held }) => void (held ? scrubber.start() : scrubber.stop()))
  const status: StatusDeps = {
    journal,
    configured: providers.map(({ id, raw }) => ({ id, name: raw.name })),
    maxStageBytes: options.maxStageBytes,
    warnings: () =>
      stumble === undefined || clock.monotonic() - stumble.at > failureShownMs
        ? warnings
        : [...warnings, `replication failed, and was begun again: ${stumble.message}`],
    isPoisoned: async () => failure() !== undefined || (await stage.isPoisoned()),
    isScrubbed: options.scrub !== undefined,
    clock,
  }
  const store = holdfast({
    writes,
    reader,
    status,
    events: told,
    check: async signal => {
      const known = new Map(journal.providers().map(row => [row.id, row]))
      const ask = async ({ id, provider }: (typeof providers)[number]) => {
        const row = known.get(id)
        return checkProvider(
          provider,
          { identity: row?.identity, capabilities: row?.capabilities },
          clock,
          random,
          signal,
        )
      }
      return Promise.all(providers.map(ask))
    },
    compare,
    closing,
    random,
    shutDown: async () => {
      await scrubber?.stop()
      await replicator?.stop()
      await healing.idle()
      await journal.close()
      openHere.delete(options.directory)
    },
  })
  return options.keys === 'encode' ? encoded(store, clock) : store
}
