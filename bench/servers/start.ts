import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Command } from './answers.ts'

/** A server that speaks S3, in a process of its own: see `answers.ts`. */
export interface Answers {
  readonly endpoint: string
  /** Takes everything that it remembers away. */
  forget(): Promise<void>
  /** From now on connections are accepted and requests get no answer; or they do again. */
  silence(isSilent: boolean): Promise<void>
  /** Its port refuses connections from then on. */
  stop(): Promise<void>
}

/** `bodies`: whether it keeps all of them, or only those of Holdfast's own small objects. */
export async function startAnswers(bodies: 'none' | 'all' = 'none'): Promise<Answers> {
  const child = forked('answers.ts', [bodies])
  const [{ port }] = (await once(child, 'message')) as [{ readonly port: number }]
  const tell = async (command: Command) => {
    child.send(command)
    await once(child, 'message')
  }
  return {
    endpoint: `http://127.0.0.1:${port}`,
    forget: () => tell('forget'),
    silence: isSilent => tell(isSilent ? 'silent' : 'answer'),
    stop: () => ended(child),
  }
}

/** A process of a module beside this one, that ends when this process does. Without the options that this process was started with: they may be a profiler's. */
export function forked(module: string, words: readonly string[]): ChildProcess {
  return fork(join(import.meta.dirname, module), words, {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}
