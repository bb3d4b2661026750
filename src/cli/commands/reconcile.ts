import { type Command, Option } from 'commander'
import type { Drift, Holdfast, ReconcileCounters, ReconcileOptions } from '../../index.ts'
import { byteCount, positive, severally, wholeNumber } from '../arguments.ts'
import { Unsettled } from '../failure.ts'
import { bytesText, counted, countText, plain } from '../format.ts'
import { type Bar, progress } from '../progress.ts'
import type { Say } from '../say.ts'
import { type Act, type Context, openStore } from '../store.ts'
import { drained } from './drain.ts'

interface Flags {
  readonly repair?: boolean
  readonly prefix?: string
  readonly startAfter?: string
  readonly resume?: boolean
  readonly attributes?: boolean
  readonly deep?: boolean
  readonly provider?: readonly string[]
  readonly maxRequestsPerSecond?: number
  readonly maxBytesPerSecond?: number
  readonly guardObjects?: number
  readonly guardPercent?: number
  readonly confirm?: boolean
  readonly leftovers?: 'report' | 'restore' | 'delete'
  readonly wait: boolean
}

export function addReconcile(program: Command, act: Act): void {
  program
    .command('reconcile')
    .description('compares what the providers have, key by key (3 where they differ); with --repair makes them equal')
    .option('--repair', 'makes them equal: copies go where they are missing, deletes where a marker says so')
    .option('--prefix <prefix>', 'only keys that begin with it')
    .option('--start-after <key>', 'only keys after this one')
    .option('--resume', 'goes on where the last run of the same kind was left')
    .option('--attributes', 'compares headers and metadata too: one request an object')
    .option('--deep', 'reads all bytes, and compares them')
    .addOption(new Option('--provider <name>', 'only these; to be given several times').argParser(severally))
    .addOption(new Option('--max-requests-per-second <n>', 'to each provider; default 500').argParser(positive))
    .addOption(new Option('--max-bytes-per-second <bytes>', 'read from all of them: 20MiB').argParser(byteCount))
    .addOption(
      new Option('--guard-objects <n>', 'stops before more repairs than this; default 1000').argParser(wholeNumber(0)),
    )
    .addOption(
      new Option('--guard-percent <p>', 'stops before more repairs than this part of all keys; default 5').argParser(
        positive,
      ),
    )
    .option('--confirm', 'a person looked: a mass change is meant')
    .addOption(
      new Option('--leftovers <what>', 'what only a provider has that was away for too long').choices([
        'report',
        'restore',
        'delete',
      ]),
    )
    .option('--no-wait', 'with --repair: ends when all is queued, not when it is done')
    .action(act(reconcile))
}

/** 0 where nothing differs, or everything that did was repaired; 3 where something is left; 4 where the guard stopped it. */
async function reconcile(context: Context, { wait, ...flags }: Flags): Promise<void> {
  const { say } = context
  const repair = flags.repair === true
  await using opened = await openStore(context, { run: repair ? 'here' : 'external', missing: 'refuse' })
  const counters = await compared(context, opened.store, optionsOf(flags))
  if (repair && counters.queued > 0 && wait) {
    await drained(context, opened.store, 'stored')
    say.note(`${counted(counters.queued, 'repair')} done`)
  }
  const open = repair ? counters.impossible : differencesOf(counters)
  if (open === 0 && counters.unknown === 0) return
  throw new Unsettled(remainder(counters, repair))
}

/** Runs it, and says each difference as it is found, and then the sum. Also for `verify`. */
export async function compared(
  context: Context,
  store: Holdfast,
  options: ReconcileOptions,
): Promise<ReconcileCounters> {
  const { io, say, every } = context
  using shown = progress(io, say, every)
  const run = store.reconcile({ ...options, signal: io.signal })
  const ticking = setInterval(() => shown.show(barsOf(run.counters)), 100).unref()
  try {
    for await (const drift of run) {
      shown.clear()
      await say.json({ drift })
      await say.line(lineOf(drift, say))
    }
    const counters = await run
    shown.clear()
    await say.json({ counters })
    for (const line of linesOf(counters)) await say.line(line)
    return counters
  } finally {
    clearInterval(ticking)
  }
}

function optionsOf({ guardObjects, guardPercent, provider, ...flags }: Omit<Flags, 'wait'>): ReconcileOptions {
  const guard = {
    ...(guardObjects === undefined ? {} : { objects: guardObjects }),
    ...(guardPercent === undefined ? {} : { percent: guardPercent }),
  }
  return {
    ...flags,
    ...(provider === undefined ? {} : { providers: [...provider] }),
    ...(Object.keys(guard).length === 0 ? {} : { guard }),
  }
}

export function differencesOf({ missing, different, foreign, deleted }: ReconcileCounters): number {
  return missing + different + foreign + deleted
}

function barsOf({ listed, compared: done, cursor }: ReconcileCounters): Bar[] {
  const note = cursor === '' ? undefined : `up to ${plain(cursor)}`
  const bars: Bar[] = Object.entries(listed).map(([label, keys]) => ({ label, done: keys, total: undefined }))
  return [...bars, { label: 'compared', done, total: undefined, ...(note === undefined ? {} : { note }) }]
}

function lineOf({ kind, key, providers, repair, why }: Drift, say: Say): string {
  const where = providers.map(({ provider, has, size }) => {
    const bytes = size === undefined || has === 'this' ? '' : ` (${bytesText(size)})`
    return `${plain(provider)}: ${has}${bytes}`
  })
  const settled = repair === 'none' ? '' : `  ${repair}${why === undefined ? '' : `: ${plain(why)}`}`
  return `${say.style('yellow', kind.padEnd(9))}  ${plain(key)}  ${where.join(', ')}${settled}`
}

function linesOf(counters: ReconcileCounters): string[] {
  const {
    compared: done,
    skipped,
    unknown,
    missing,
    different,
    foreign,
    deleted,
    queued,
    impossible,
    bytesRead,
    guard,
  } = counters
  const listed = Object.entries(counters.listed).map(([name, keys]) => `${plain(name)} ${countText(keys)}`)
  const lines = [
    `${counted(done, 'key')} compared (${listed.join(', ')}), ${countText(skipped)} left to replication, ${countText(unknown)} that could not be asked for`,
    `${countText(missing)} missing, ${countText(different)} different, ${countText(foreign)} foreign, ${countText(deleted)} deleted; ${countText(queued)} queued, ${countText(impossible)} impossible${bytesRead === 0 ? '' : `; ${bytesText(bytesRead)} read`}`,
  ]
  if (guard !== undefined) lines.push(`the guard would stop a repair (${guard.rule}): ${plain(guard.message)}`)
  return lines
}

function remainder(counters: ReconcileCounters, isRepair: boolean): string {
  const { unknown, impossible } = counters
  const parts: string[] = []
  const differences = differencesOf(counters)
  if (!isRepair && differences > 0)
    parts.push(
      `${counted(differences, 'difference')} found; \`holdfast reconcile --repair\` settles what can be settled`,
    )
  if (isRepair && impossible > 0) parts.push(`${counted(impossible, 'difference')} cannot be repaired`)
  if (unknown > 0) parts.push(`${counted(unknown, 'key')} could not be asked for at every provider`)
  return parts.join('; ')
}
