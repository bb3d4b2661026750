import { monitorEventLoopDelay } from 'node:perf_hooks'
import { openOver } from './stores.ts'

/** A process of its own that replicates a directory: `worker.ts DIRECTORY PRIMARY SECONDARY`. */

const [directory, primary, secondary] = process.argv.slice(2) as [string, string, string]
const store = await openOver(directory, [{ endpoint: primary }, { endpoint: secondary }], { holdMs: 0 })
let copies = 0
store.on('stored', () => copies++)

/** Since it was last told to begin. */
export interface WorkerUsage {
  readonly copies: number
  /** User and system, all threads, microseconds. */
  readonly cpuUs: number
  readonly loopP99Ms: number
}

/** `begin` is answered with nothing, `end` with the usage. */
export type WorkerCommand = 'begin' | 'end' | 'close'

const loop = monitorEventLoopDelay({ resolution: 1 })
let cpu = process.cpuUsage()
process.on('disconnect', () => process.exit(0))
process.on('message', (command: WorkerCommand) => void obey(command))
process.send?.('open')

async function obey(command: WorkerCommand): Promise<void> {
  switch (command) {
    case 'begin':
      copies = 0
      cpu = process.cpuUsage()
      loop.reset()
      loop.enable()
      process.send?.('begun')
      return
    case 'end': {
      loop.disable()
      const { user, system } = process.cpuUsage(cpu)
      const loopP99Ms = Math.max(0, loop.percentile(99) / 1e6 - 1)
      process.send?.({ copies, cpuUs: user + system, loopP99Ms } satisfies WorkerUsage)
      return
    }
    case 'close':
      await store.close()
      process.disconnect()
      return
    default:
      command satisfies never
  }
}
