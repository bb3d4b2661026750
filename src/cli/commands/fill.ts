import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import type { FillEstimate, FillProgress, FillResult, Holdfast } from '../../index.ts'
import { byteCount, positive } from '../arguments.ts'
import { demandYes } from '../ask.ts'
import { Unsettled, Usage } from '../failure.ts'
import { bytesText, counted, countText, plain, table, timeText } from '../format.ts'
import { type Bar, progress } from '../progress.ts'
import { type Act, type Context, openStore } from '../store.ts'

interface Flags {
  readonly to: string
  readonly from?: string
  readonly prefix?: string
  readonly resume: boolean
  readonly deep?: boolean
  readonly maxRequestsPerSecond?: number
  readonly maxBytesPerSecond?: number
  readonly prices?: string
  readonly estimate?: boolean
  readonly yes?: boolean
}

type Estimating = Parameters<Holdfast['estimate']>[0]

/** Both say first what it takes, and ask. */
export function addFill(program: Command, act: Act): void {
  const common = (command: Command) =>
    command
      .option('--prefix <prefix>', 'only keys that begin with it')
      .option('--no-resume', 'from the beginning, not where the last run was left')
      .option('--deep', 'reads all bytes, and compares them')
      .addOption(new Option('--max-requests-per-second <n>', 'to each provider; default 500').argParser(positive))
      .addOption(new Option('--max-bytes-per-second <bytes>', 'read from all of them: 20MiB').argParser(byteCount))
      .option('--prices <file>', 'JSON: what providers ask for, instead of list prices')
      .option('--estimate', 'only says what it takes')
      .option('--yes', 'does not ask')
  common(
    program
      .command('backfill')
      .description('brings a provider everything that the others have; while the app runs')
      .requiredOption('--to <provider>', 'the one to be filled'),
  ).action(act(fill))
  common(
    program
      .command('evacuate')
      .description('brings a provider everything, from the others where one is to be left: it is asked last')
      .requiredOption('--from <provider>', 'the one to be left; may be closed, banned, or out of the options')
      .requiredOption('--to <provider>', 'the one to be filled'),
  ).action(act(fill))
}

/** 0 when all is there; 3 where something cannot be brought, or the person said no. */
async function fill(context: Context, flags: Flags): Promise<void> {
  const { io, say } = context
  const { to, from } = flags
  await using opened = await openStore(context, {
    run: flags.estimate === true ? 'external' : 'here',
    missing: 'refuse',
  })
  const { store } = opened
  const pace = {
    ...(flags.prefix === undefined ? {} : { prefix: flags.prefix }),
    ...(flags.maxRequestsPerSecond === undefined ? {} : { maxRequestsPerSecond: flags.maxRequestsPerSecond }),
    ...(flags.maxBytesPerSecond === undefined ? {} : { maxBytesPerSecond: flags.maxBytesPerSecond }),
    signal: io.signal,
  }
  const prices = flags.prices === undefined ? {} : { prices: await pricesIn(resolve(io.cwd, flags.prices)) }
  const estimate = await store.estimate({ to, ...(from === undefined ? {} : { from }), ...pace, ...prices })
  await say.json({ estimate })
  // Before the work it is for the person who is asked; by itself it is the result.
  for (const line of linesOfEstimate(estimate, to)) await (flags.estimate === true ? say.line(line) : say.note(line))
  if (flags.estimate === true) return
  if (estimate.objects > 0) await demandYes(context, `Fill ${plain(to)}?`, flags.yes)
  const how = { to, ...pace, resume: flags.resume, ...(flags.deep === true ? { deep: true } : {}) }
  const run = from === undefined ? store.backfill(how) : store.evacuate({ ...how, from })
  const result = await watched(context, run, to)
  await say.json({ result })
  for (const line of linesOfResult(result, to)) await say.line(line)
  if (result.impossible > 0) {
    throw new Unsettled(
      `${counted(result.impossible, 'object')} cannot be brought to ${plain(to)}: no copy of them can be read, or the copy is damaged`,
    )
  }
}

async function pricesIn(file: string): Promise<NonNullable<Estimating['prices']>> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as NonNullable<Estimating['prices']>
  } catch (error) {
    throw new Usage(`--prices: ${plain(file)}: ${(error as Error).message}`, { cause: error })
  }
}

async function watched(
  { io, say, every }: Context,
  run: ReturnType<Holdfast['backfill']>,
  to: string,
): Promise<FillResult> {
  using shown = progress(io, say, every)
  try {
    for await (const now of run) shown.show(barsOf(now, to))
    return await run
  } catch (error) {
    if (io.signal.aborted) say.note('the position is kept: the same command goes on there')
    throw error
  }
}

function barsOf(now: FillProgress, to: string): Bar[] {
  const { objects, bytes, ofObjects, ofBytes, queued, stored, without } = now
  const found: Bar = {
    label: 'found',
    done: objects,
    total: ofObjects,
    bytes,
    ...(ofBytes === undefined ? {} : { totalBytes: ofBytes }),
    ...(without.length === 0 ? {} : { note: `without ${without.map(plain).join(', ')}` }),
  }
  return queued === 0 ? [found] : [found, { label: to, done: stored, total: queued, note: 'stored' }]
}

function linesOfEstimate(estimate: FillEstimate, to: string): string[] {
  const { objects, bytes, requests, egressBytes, seconds, money, without } = estimate
  const names = Object.keys(requests)
  const rows = names.map(name => {
    const asked = requests[name]
    const counts = [asked?.list, asked?.head, asked?.get, asked?.put].map(count => countText(count ?? 0))
    return [plain(name), ...counts, bytesText(egressBytes[name] ?? 0)]
  })
  return [
    `${plain(to)} lacks ${counted(objects, 'object')} (${bytesText(bytes)})`,
    ...table([['', 'list', 'head', 'get', 'put', 'egress'], ...rows], [1, 2, 3, 4, 5]),
    `at least ${timeText(seconds * 1000)}; about $${money.total.toFixed(2)} by the prices (egress $${money.egress.toFixed(2)}, requests $${money.requests.toFixed(2)})`,
    ...(without.length === 0 ? [] : [`without ${without.map(plain).join(', ')}: it cannot be listed`]),
  ]
}

function linesOfResult({ objects, bytes, impossible, failed, without, filled }: FillResult, to: string): string[] {
  return [
    `${counted(objects, 'object')} (${bytesText(bytes)}) brought to ${plain(to)}${impossible === 0 ? '' : `, ${countText(impossible)} of them impossible`}`,
    ...failed.map(({ key, why }) => `impossible: ${plain(key)}: ${plain(why)}`),
    ...(without.length === 0 ? [] : [`without ${without.map(plain).join(', ')}: it could not be asked`]),
    ...(filled ? [`${plain(to)} has everything that the others have`] : []),
  ]
}
