import { fork, type ChildProcess } from 'node:child_process'
import { extname } from 'node:path'
import { HoldfastError } from '../../core/errors.ts'
import type { LocalCloud, LocalCloudOptions, LocalCredentials } from './cloud.ts'

/** What goes to the child: first its options, then calls. */
type ToChild =
  | { readonly start: LocalCloudOptions }
  | { readonly id: number; readonly call: CallName; readonly argument: unknown }

/** What comes back: first whether it serves, then the outcome of each call. */
type FromChild =
  | { readonly ready: Facts }
  | { readonly failed: string }
  | { readonly id: number; readonly value?: unknown; readonly error?: string }

type CallName = 'fault' | 'heal' | 'requests'

interface Facts {
  readonly endpoint: string
  readonly port: number
  readonly pid: number
  readonly credentials: LocalCredentials
}

/** A module beside the caller's, with the extension that it has where this runs: TypeScript in the sources, JavaScript when built. */
export function beside(moduleUrl: string, name: string): URL {
  return new URL(`./${name}${extname(new URL(moduleUrl).pathname)}`, moduleUrl)
}

/**
 * Starts a cloud in a process of its own: `module` is run there and calls `serveParent`. Neither process outlives its purpose: the
 * child ends when this process is gone, however it went, and this process may end while the child runs. Calls after the child's end
 * reject with CLOSED; `stop` resolves.
 */
export async function startInOwnProcess(module: URL, options: LocalCloudOptions): Promise<LocalCloud> {
  const child = fork(module, [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: [],
  })
  const ended = new Promise<void>(resolve => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  // A message that cannot be sent is an error of the child; that it has ended is told by `ended`.
  child.on('error', () => {})
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  const facts = await started(child, options)
  let calls = 0
  let open = true

  child.on('message', (message: FromChild) => {
    if (!('id' in message)) return
    const call = waiting.get(message.id)
    waiting.delete(message.id)
    if (waiting.size === 0) child.channel?.unref()
    if (message.error === undefined) call?.resolve(message.value)
    else call?.reject(new HoldfastError('INVALID', message.error))
  })
  void ended.then(() => {
    open = false
    for (const call of waiting.values()) call.reject(over(facts.endpoint))
    waiting.clear()
  })
  child.unref()
  child.channel?.unref()

  function call(name: CallName, argument: unknown): Promise<unknown> {
    if (!open) return Promise.reject(over(facts.endpoint))
    const id = ++calls
    const answer = Promise.withResolvers<unknown>()
    waiting.set(id, answer)
    child.channel?.ref()
    const message: ToChild = { id, call: name, argument }
    // A failure to send means that the child has ended, which `ended` tells.
    child.send(message, () => {})
    return answer.promise
  }

  const cloud: LocalCloud = {
    ...facts,
    fault: async rule => (await call('fault', rule)) as string,
    heal: async id => {
      await call('heal', id)
    },
    requests: async query => (await call('requests', query)) as Awaited<ReturnType<LocalCloud['requests']>>,
    async stop() {
      if (!open) return
      child.ref()
      child.kill('SIGKILL')
      await ended
    },
    async [Symbol.asyncDispose]() {
      await cloud.stop()
    },
  }
  return cloud
}

/** The child's side: starts what it is told to start, and ends with its parent. */
export function serveParent(start: (options: LocalCloudOptions) => Promise<LocalCloud>): void {
  let cloud: LocalCloud | undefined
  const send = (message: FromChild): void => {
    process.send?.(message)
  }
  process.on('disconnect', () => process.exit(0))
  process.on('message', (message: ToChild) => {
    if ('start' in message) {
      start(message.start).then(
        running => {
          cloud = running
          const { endpoint, port, pid, credentials } = running
          send({ ready: { endpoint, port, pid, credentials } })
        },
        (error: unknown) => send({ failed: error instanceof Error ? error.message : String(error) }),
      )
      return
    }
    const { id, call, argument } = message
    const run = cloud?.[call] as ((argument: unknown) => Promise<unknown>) | undefined
    if (run === undefined) send({ id, error: 'not started' })
    else
      run(argument).then(
        value => send({ id, value }),
        (error: unknown) => send({ id, error: String(error) }),
      )
  })
}

function started(child: ChildProcess, options: LocalCloudOptions): Promise<Facts> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', code =>
      reject(
        new HoldfastError(
          'UNAVAILABLE',
          `the process of the local cloud ended with ${code ?? 'a signal'} before it served`,
        ),
      ),
    )
    child.once('message', (message: FromChild) => {
      if ('ready' in message) resolve(message.ready)
      else {
        child.kill('SIGKILL')
        reject(new HoldfastError('UNAVAILABLE', 'failed' in message ? message.failed : 'the local cloud did not start'))
      }
    })
    child.send({ start: { ...options, process: 'here' } } satisfies ToChild)
  })
}

function over(endpoint: string): HoldfastError {
  return new HoldfastError('CLOSED', `the local cloud at ${endpoint} has ended`)
}
