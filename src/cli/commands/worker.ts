import { type Command, Option } from 'commander'
import type { Holdfast, HoldfastEvents, Status } from '../../index.ts'
import { Failed } from '../failure.ts'
import { bytesText, counted, countText, plain } from '../format.ts'
import { Interrupted } from '../io.ts'
import { type Act, type Context, openStore } from '../store.ts'
import { wholeNumber } from '../arguments.ts'

interface Options {
  readonly drainSeconds: number
  readonly objects?: boolean
}

export function addWorker(program: Command, act: Act): void {
  program
    .command('worker')
    .description(
      "replicates the directory in a process of its own, for apps with replication: { run: 'external' }; runs until it is stopped",
    )
    .addOption(
      new Option('--drain-seconds <seconds>', 'when stopped: how long what is on its way may take')
        .default(10)
        .argParser(wholeNumber(0)),
    )
    .option('--objects', 'says each object that is stored and looked at again, too')
    .action(act(worker))
}

/** Told of always; `stored`, `verified` and `released` come with every object. */
const events = [
  'provider',
  'stale-provider',
  'lease',
  'blocked',
  'restored',
  'lost',
  'foreign',
  'superseded',
  'repair',
  'drift',
  'poisoned',
] as const
const eventsOfObjects = ['stored', 'verified', 'released', 'retry'] as const
type Name = (typeof events)[number] | (typeof eventsOfObjects)[number]
type Told = { [E in Name]: { readonly event: E } & HoldfastEvents[E] }[Name]

/** An end by SIGTERM is the ordinary one: 0. After SIGINT: 130. */
async function worker(context: Context, { drainSeconds, objects = false }: Options): Promise<void> {
  const { io, say, every = 60 } = context
  await using opened = await openStore(context, { run: 'here', missing: 'make' })
  const { store, options } = opened
  const poisoned = Promise.withResolvers<never>()
  let stored = 0
  for (const event of objects ? [...events, ...eventsOfObjects] : events) {
    store.on(event, payload => {
      // Nobody reads any more, or it is time to go: then there is nobody to tell.
      tell(context, event, payload).catch(() => {})
    })
  }
  store.on('stored', () => stored++)
  store.on('poisoned', ({ message }) => poisoned.reject(new Failed(message)))
  say.note(`holdfast worker on ${plain(options.directory)}; Ctrl-C or SIGTERM stops it`)
  let before = ''
  const summarize = async () => {
    const status = await store.status()
    const words = wordsOf(status, stored)
    stored = 0
    if (words === before) return
    before = words
    await said(context, 'summary', words, countsOf(status))
  }
  const summary = setInterval(() => {
    // Why it has nothing to say, its events say.
    summarize().catch(() => {})
  }, every * 1000)
  try {
    await Promise.race([stopped(io.signal), poisoned.promise])
  } finally {
    clearInterval(summary)
  }
  await leave(context, store, drainSeconds)
  const { reason } = io.signal
  if (reason instanceof Interrupted && reason.by === 'SIGINT') throw reason
}

async function leave({ say }: Context, store: Holdfast, drainSeconds: number): Promise<void> {
  const { pending } = await store.status()
  if (pending.writes > 0) say.note(`stopping: what is on its way has ${drainSeconds} s; again to stop at once`)
  await store.close({ drainMs: drainSeconds * 1000 })
  say.note('stopped; what is left goes on with the next one that replicates')
}

function stopped(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

async function tell<E extends Name>(context: Context, event: E, payload: HoldfastEvents[E]): Promise<void> {
  await said(context, event, sentenceOf({ event, ...payload } as unknown as Told), payload)
}

async function said({ say }: Context, event: string, words: string, more: object): Promise<void> {
  const at = new Date().toISOString()
  await say.line(`${at}  ${words}`)
  await say.json({ at, event, ...more })
}

function sentenceOf(told: Told): string {
  switch (told.event) {
    case 'provider':
      return `${plain(told.provider)} is ${told.state}${told.reason === undefined ? '' : `: ${told.reason}, ${plain(told.message ?? '')}`}`
    case 'stale-provider':
      return `${plain(told.provider)} was away for too long: nothing is repaired from it until \`holdfast reconcile --repair\` ran`
    case 'drift':
      return `the scrub found ${told.kind}: ${plain(told.key)}, ${told.repair}${told.why === undefined ? '' : `: ${plain(told.why)}`}`
    case 'lease':
      return told.held ? 'replicating' : 'replicating no more'
    case 'blocked':
      return `blocked: ${plain(told.key)} at ${plain(told.provider)}, ${told.reason}: ${plain(told.message)}`
    case 'restored':
      return `restored: ${plain(told.key)} was damaged on local disk; it came from ${plain(told.from)}`
    case 'lost':
      return `lost: ${plain(told.key)} at ${plain(told.provider)}, sent again: ${plain(told.message)}`
    case 'foreign':
      return `foreign: ${plain(told.key)} at ${plain(told.provider)} was written past Holdfast`
    case 'superseded':
      return `superseded: ${plain(told.key)} at ${plain(told.provider)}, by ${told.by}`
    case 'repair':
      return `repair: ${plain(told.key)} goes to ${told.providers.map(plain).join(', ')} again`
    case 'poisoned':
      return `the directory takes nothing more: ${plain(told.message)}`
    case 'retry':
      return `again in ${Math.round(told.inMs)} ms: ${plain(told.key)} to ${plain(told.provider)}: ${plain(told.message)}`
    case 'released':
      return `released: ${plain(told.key)}`
    case 'stored':
    case 'verified':
      return `${told.event}: ${plain(told.key)} at ${plain(told.provider)}`
    default:
      return told satisfies never
  }
}

function wordsOf({ pending, held, blocked }: Status, stored: number): string {
  const waiting = `${countText(pending.writes)} pending (${bytesText(pending.bytes)}), ${countText(held.writes)} held, ${countText(blocked.writes)} blocked`
  return stored === 0 ? waiting : `${waiting}; ${counted(stored, 'copy', 'copies')} stored`
}

function countsOf({ pending, held, blocked }: Status): object {
  return { pending, held, blocked }
}
