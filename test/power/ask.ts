import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { promisify } from 'node:util'
import type { Told } from './ledger.ts'

/** A call that a child is about to make, and waits to be allowed. */
export interface Ask {
  /** 1 for the first of its life. */
  readonly number: number
  /** `fsync`, `fdatasync`, `rename`, `pwrite64` …; `cut` is no call: the child stands still of itself. */
  readonly call: string
  readonly path: string
  /** What the child was doing, in its own words. */
  readonly phase: string
}

/** 'nothing': the call answers that it was done, and was not. 'kill': the process ends here, as by kill -9. */
export type Answer = 'go' | 'nothing' | 'EIO' | 'EINVAL' | 'ENOSPC' | 'kill'

const letters = { go: 'g', nothing: 'n', EIO: 'e', EINVAL: 'i', ENOSPC: 's' } as const

export interface Life {
  readonly asks: readonly Ask[]
  /** It came to its own end. */
  readonly finished: boolean
}

export interface LifeOptions {
  /** Calls on paths that contain this are asked about. */
  readonly under: string
  /** Of `ask.c`: syncs, names, bytes. */
  readonly kinds: '' | 's' | 'w' | 'snw'
  readonly args: readonly string[]
  /** Kills it. */
  readonly signal?: AbortSignal
  readonly onTold: (told: Told) => void
  /** While it runs, no other call of these kinds does, on no thread of the child. */
  readonly onAsk: (ask: Ask) => Answer | Promise<Answer>
}

/** Compiles the library that asks. Rejects where there is no C compiler. */
export async function compileShim(into: string): Promise<string> {
  const shim = join(into, 'ask.so')
  const source = join(import.meta.dirname, 'ask.c')
  await promisify(execFile)('cc', ['-O1', '-shared', '-fPIC', '-o', shim, source, '-ldl', '-lpthread'])
  return shim
}

/** Runs `child.ts` to its end, or to the call at which it is killed: what it tells and what it asks, in the order in which it did. */
export async function live(shim: string, options: LifeOptions): Promise<Life> {
  const { under, kinds, args, signal, onTold, onAsk } = options
  const child = spawn(process.execPath, [join(import.meta.dirname, 'child.ts'), ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe', 'pipe'],
    env: { ...process.env, LD_PRELOAD: shim, ASK_UNDER: under, ASK_KINDS: kinds, UV_USE_IO_URING: '0' },
  })
  const ended = once(child, 'close')
  signal?.addEventListener('abort', () => child.kill('SIGKILL'))
  const answers = child.stdio[4] as Writable
  answers.on('error', () => {})
  const asks: Ask[] = []
  let phase = ''
  let failed: unknown
  const answer = async (ask: Ask): Promise<void> => {
    try {
      const what = await onAsk(ask)
      if (what === 'kill') child.kill('SIGKILL')
      else answers.write(letters[what])
    } catch (error) {
      failed ??= error
      child.kill('SIGKILL')
    }
  }
  const lines = createInterface({ input: child.stdio[3] as Readable })
  lines.on('line', line => {
    const [, call, path] = /^ask (\S+) (.*)$/.exec(line) ?? []
    if (call === undefined || path === undefined) {
      const told = readTold(line)
      if (told === undefined) return
      if (told.type === 'phase') phase = told.name
      return onTold(told)
    }
    const ask = { number: asks.length + 1, call, path, phase }
    asks.push(ask)
    void answer(ask)
  })
  const [code] = (await ended) as [number | null]
  if (failed !== undefined) throw failed
  if (code !== null && code !== 0) throw new Error(`the child ended with ${code} in ${phase}`)
  return { asks, finished: code === 0 }
}

/** The last line of a child that was killed may be cut. */
function readTold(line: string): Told | undefined {
  try {
    return JSON.parse(line) as Told
  } catch {
    return undefined
  }
}
