import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Holdfast, type HoldfastOptions, openHoldfast } from '../index.ts'
import { type Config, loadConfig, type Sources } from './config.ts'
import { isHoldfastError, Usage } from './failure.ts'
import { plain } from './format.ts'
import type { Io } from './io.ts'
import type { Say } from './say.ts'

/** What every command is given. */
export interface Context {
  readonly io: Io
  readonly say: Say
  readonly sources: Sources
  /** Between lines of progress where there is no terminal, and between looks of `--watch`; seconds. `undefined`: as the command likes. */
  readonly every: number | undefined
}

/** What a command does, given the context and then its arguments and options, as commander gives them. */
export type Act = <Args extends readonly unknown[]>(
  work: (context: Context, ...args: Args) => Promise<void>,
) => (...args: Args) => Promise<void>

export interface Opened extends AsyncDisposable {
  readonly store: Holdfast
  readonly options: HoldfastOptions
}

export interface OpenHow {
  /** `external`: accepts and looks. `here`: replicates too, unless another process of this directory does. */
  readonly run: 'here' | 'external'
  /** What to do where there is no directory yet: refuse, make it as an app would, or use one that is gone afterwards. */
  readonly missing: 'refuse' | 'make' | 'pass'
}

/** Opens the store that the config, or the flags, name, beside whoever has it open. Closed when its scope ends. */
export async function openStore({ io, sources, say }: Context, how: OpenHow): Promise<Opened> {
  const config = await loadConfig(sources, io)
  const { directory } = config.options
  const isThere = typeof directory !== 'string' || existsSync(directory)
  if (!isThere && how.missing === 'refuse') {
    throw new Usage(
      `there is no directory ${plain(directory)}: the app makes it when it starts (or \`holdfast worker\`); is ${config.from === 'the flags' ? '--directory' : `the directory in ${plain(config.from)}`} right?`,
    )
  }
  const passing = !isThere && how.missing === 'pass' ? await mkdtemp(join(tmpdir(), 'holdfast-check-')) : undefined
  const options: HoldfastOptions = {
    ...config.options,
    ...(passing === undefined ? {} : { directory: passing, disk: 'ephemeral' }),
    replication: { ...config.options.replication, run: how.run },
  }
  const drop = async () => {
    if (passing !== undefined) await rm(passing, { recursive: true, force: true })
  }
  const store = await open(options, config).catch(async (error: unknown) => {
    await drop()
    throw error
  })
  const stopTelling = how.run === 'here' ? tellWhoReplicates(store, say) : () => {}
  return {
    store,
    options,
    async [Symbol.asyncDispose]() {
      stopTelling()
      await store.close()
      await drop()
    },
  }
}

async function open(options: HoldfastOptions, { from }: Config): Promise<Holdfast> {
  try {
    return await openHoldfast(options)
  } catch (error) {
    const isTheirs = error instanceof TypeError || (isHoldfastError(error) && error.code === 'INVALID')
    if (!isTheirs) throw error
    throw new Usage(`${from === 'the flags' ? '' : `${plain(from)}: `}${error.message}`, { cause: error })
  }
}

/** Long enough for a lease that nobody has to be taken. */
const leaseMs = 700

/** Says, once, when it is another process that does the work; and when this one takes over. Answers what ends the watching. */
function tellWhoReplicates(store: Holdfast, say: Say): () => void {
  let isTold = false
  const late = setTimeout(() => {
    isTold = true
    say.note(
      'another process replicates this directory: it does the work, this one watches and takes over when it ends',
    )
  }, leaseMs).unref()
  const stopListening = store.on('lease', ({ held }) => {
    clearTimeout(late)
    if (held && isTold) say.note('the other process is gone: this one replicates from now on')
  })
  return () => {
    clearTimeout(late)
    stopListening()
  }
}
