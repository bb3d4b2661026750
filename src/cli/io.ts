import type { Readable, Writable } from 'node:stream'

/** Where text goes, and what kind of place that is. */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number }

/** What the program has of the world around it: only `bin.ts` makes one out of the process. */
export interface Io {
  /** Results, and nothing else. */
  readonly stdout: Output
  /** Progress, questions, messages, errors. */
  readonly stderr: Output
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborts with an `Interrupted` when the process is asked to end, or when nobody reads its output any more. */
  readonly signal: AbortSignal
}

/** Why the work was left before its end: the reason of `Io.signal`. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly by: 'SIGINT' | 'SIGTERM' | 'EPIPE'

  constructor(by: Interrupted['by']) {
    super(by === 'EPIPE' ? 'nobody reads the output any more' : `stopped by ${by}`)
    this.by = by
  }
}

/** Whether somebody can be asked a question. */
export function canAsk({ stdin, stderr }: Io): boolean {
  return stdin.isTTY === true && stderr.isTTY === true
}
