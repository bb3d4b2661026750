import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'vitest'

const calls = { reads: 1, writes: 2, syncs: 4, truncates: 8 } as const
const modes = { fail: 0, 'do, then fail': 1, short: 2, delay: 3 } as const
const bytes = 9 * 4 + 200

/** What is to go wrong from now on. */
export interface DiskFault {
  readonly on: readonly (keyof typeof calls)[]
  /** Files whose path has this in it; a directory is found by its own name. */
  readonly path: string
  readonly code?: 'EIO' | 'ENOSPC' | 'EDQUOT' | 'EROFS'
  /** Default `fail`. */
  readonly mode?: keyof typeof modes
  /** Calls that go well before; default 0. */
  readonly skip?: number
  /** Calls that go wrong; default: all from there on. */
  readonly count?: number
  /** For the mode `delay`. */
  readonly delayMs?: number
}

/** The disk of processes that are started with `env`: does as it should until `set`. */
export interface Shim {
  readonly env: Readonly<Record<string, string>>
  set(fault: DiskFault): void
  /** Ends the fault. Answers how many calls it met, and how many of those went wrong. */
  clear(): { readonly seen: number; readonly hit: number }
}

/** Builds the shim with the machine's own compiler. Skips the test, and says so, where there is none. */
export function shim(context: TestContext, root: string): Shim {
  const library = join(root, 'shim.so')
  try {
    execFileSync('cc', ['-O2', '-shared', '-fPIC', '-o', library, join(import.meta.dirname, 'shim.c'), '-ldl'], {
      stdio: 'pipe',
    })
  } catch (error) {
    const reason = `faults between a process and its disk need Linux and a C compiler (${String(error).split('\n')[0]})`
    process.stdout.write(`SKIPPED: ${context.task.name}: ${reason}\n`)
    return context.skip(reason)
  }
  const control = join(root, 'shim.page')
  const set = ({ on, path, code = 'EIO', mode = 'fail', skip = 0, count = -1, delayMs = 0 }: DiskFault) => {
    const page = Buffer.alloc(bytes)
    const mask = on.reduce((sum, call) => sum | calls[call], 0)
    const numbers = [1, mask, skip, count, constants.errno[code], modes[mode], delayMs]
    for (const [i, number] of numbers.entries()) page.writeInt32LE(number, i * 4)
    page.write(path, 9 * 4, 199, 'utf8')
    const file = openSync(control, 'r+')
    try {
      writeSync(file, page, 0, bytes, 0)
    } finally {
      closeSync(file)
    }
  }
  writeFileSync(control, Buffer.alloc(bytes))
  return {
    env: { LD_PRELOAD: library, HOLDFAST_SHIM: control },
    set,
    clear() {
      const page = Buffer.alloc(bytes)
      const file = openSync(control, 'r+')
      try {
        readSync(file, page, 0, bytes, 0)
        writeSync(file, Buffer.alloc(4), 0, 4, 0)
      } finally {
        closeSync(file)
      }
      return { seen: page.readInt32LE(7 * 4), hit: page.readInt32LE(8 * 4) }
    },
  }
}
