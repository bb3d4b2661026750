import { fork } from 'node:child_process'
import { once } from 'node:events'
import { basename } from 'node:path'

/** A file of the benchmark in a process of its own. */
export interface Fork<Said> {
  /** The first thing that it told us. */
  readonly said: Said
  /** Ends it, and resolves when it is gone. No error where it ended by itself. */
  stop(): Promise<void>
}

/** Starts `file` (absolute) and resolves when it has said something; rejects where it ends before. What it says is taken as it comes: both sides are ours. */
export async function startFork<Said>(file: string, args: readonly string[] = []): Promise<Fork<Said>> {
  const child = fork(file, args, {
    execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit')
  const said = await new Promise<Said>((resolve, reject) => {
    child.once('message', message => resolve(message as Said))
    child.once('exit', code => reject(new Error(`${basename(file)} ended with ${code} before it had said anything`)))
  })
  return {
    said,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill()
      await exited
    },
  }
}

/** Runs `file` to its end. Resolves with what it said; rejects where it said nothing, or ended with an error afterwards. */
export async function askFork<Said>(file: string, args: readonly string[]): Promise<Said> {
  const child = fork(file, args, {
    execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  let said: { readonly is: Said } | undefined
  child.once('message', message => {
    said = { is: message as Said }
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  if (said === undefined || code !== 0) throw new Error(`${basename(file)} ended with ${code}`)
  return said.is
}

/** In such a process: tells whoever started it, and lets go of the channel so that the process can end. */
export async function tell(what: object): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.send?.(what, undefined, undefined, error => (error === null ? resolve() : reject(error)))
  })
  process.disconnect()
}
