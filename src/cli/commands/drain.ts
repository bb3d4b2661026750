import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import type { Holdfast, Status } from '../../index.ts'
import { positive } from '../arguments.ts'
import { Failed } from '../failure.ts'
import { counted } from '../format.ts'
import { type Bar, progress } from '../progress.ts'
import { type Act, type Context, openStore } from '../store.ts'

interface Options {
  readonly until: 'stored' | 'verified'
  readonly timeout?: number
}

export function addDrain(program: Command, act: Act): void {
  program
    .command('drain')
    .description('replicates, and waits until every accepted write is on every provider')
    .addOption(
      new Option('--until <what>', 'on every provider, or looked at twice')
        .choices(['stored', 'verified'])
        .default('stored'),
    )
    .addOption(new Option('--timeout <seconds>', 'gives up waiting after so long (1: not done)').argParser(positive))
    .action(act(drain))
}

async function drain(context: Context, { until, timeout }: Options): Promise<void> {
  const { say } = context
  await using opened = await openStore(context, { run: 'here', missing: 'refuse' })
  const { store } = opened
  await drained(context, store, until, timeout)
  const status = await store.status()
  await say.json({ until, status })
  const what = until === 'stored' ? 'is on every provider' : 'is on every provider, looked at twice'
  await say.line(`everything that was accepted ${what} (${counted(status.accepted, 'write')})`)
}

/** Waits with bars. Rejects with BLOCKED where only blocked writes remain, with Failed when the time is over. */
export async function drained(
  context: Context,
  store: Holdfast,
  until: 'stored' | 'verified',
  timeoutSeconds?: number,
): Promise<void> {
  const { io, say, every } = context
  const late = timeoutSeconds === undefined ? undefined : AbortSignal.timeout(timeoutSeconds * 1000)
  const signal = late === undefined ? io.signal : AbortSignal.any([io.signal, late])
  const over = new AbortController()
  const waiting = store.drain({ until, signal }).finally(() => over.abort())
  using shown = progress(io, say, every)
  const most = new Map<string, number>()
  const look = async () => shown.show(barsOf(await store.status(), until, most))
  const watching = watch(look, over.signal)
  try {
    await waiting
    await look()
  } catch (error) {
    if (late?.aborted !== true || io.signal.aborted) throw error
    const { pending, held } = await store.status()
    const left = until === 'verified' ? held.writes : 0
    throw new Failed(
      `not done in ${timeoutSeconds} s: ${counted(pending.writes, 'write')} on the way${left > 0 ? `, ${left} waiting for the second look` : ''}; it goes on with whoever replicates this directory`,
    )
  } finally {
    over.abort()
    await watching
  }
}

const lookMs = 200

async function watch(look: () => Promise<void>, signal: AbortSignal): Promise<void> {
  try {
    while (!signal.aborted) {
      await look()
      await sleep(lookMs, undefined, { signal })
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** One bar a provider: of the most that ever waited for it here, how much does not any more. */
function barsOf(status: Status, until: 'stored' | 'verified', most: Map<string, number>): Bar[] {
  const bar = (label: string, left: number, note?: string): Bar => {
    const total = Math.max(left, most.get(label) ?? 0)
    most.set(label, total)
    return { label, done: total - left, total, ...(note === undefined ? {} : { note }) }
  }
  const bars = status.providers
    .filter(each => (most.get(each.name) ?? each.pendingWrites) > 0)
    .map(({ name, state, pendingWrites, reason }) =>
      bar(name, pendingWrites, state === 'up' ? undefined : [state, reason].filter(Boolean).join(' ')),
    )
  return until === 'verified' && (most.get('second look') ?? status.held.writes) > 0
    ? [...bars, bar('second look', status.held.writes)]
    : bars
}
