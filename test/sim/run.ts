import { History } from '../converge/history.ts'
import { watch } from './checks.ts'
import { begin } from './drive.ts'
import type { Plan } from './plan.ts'
import { rest } from './rest.ts'
import { openWorld } from './world.ts'

/** What became of one world. */
export interface Outcome {
  readonly seed: number
  /** What must not have happened, in words; none if all is well. */
  readonly faults: readonly string[]
  /** Of everything that happened, in order: the same seed has the same. */
  readonly hash: string
  readonly events: number
  /** Simulated time, ms. */
  readonly elapsedMs: number
  readonly asked: number
  readonly acked: number
  /** Only where asked for. */
  readonly trace: readonly string[]
}

/** Runs one world to its end. The same plan does the same each time. */
export async function run(plan: Plan, keepsTrace = false): Promise<Outcome> {
  const world = await openWorld(plan, keepsTrace)
  const history = new History()
  const { scheduler, faults } = world
  const unhandled = (error: unknown) => {
    faults.push(`nobody handled ${error instanceof Error ? (error.stack ?? '') : String(error)} (I47)`)
  }
  process.on('unhandledRejection', unhandled)
  try {
    watch(world, history)
    for (const slot of world.slots) slot.up()
    begin(world, history)
    await scheduler.advance(plan.endMs)
    if (faults.length === 0) await rest(world, history)
    for (const slot of world.slots) slot.kill()
  } catch (error) {
    faults.push(`the run ended with ${error instanceof Error ? (error.stack ?? '') : String(error)}`)
  } finally {
    process.off('unhandledRejection', unhandled)
    world.end()
  }
  return {
    seed: plan.seed,
    faults,
    hash: scheduler.trace.hash,
    events: scheduler.events,
    elapsedMs: scheduler.elapsed,
    asked: history.asked.length,
    acked: history.asked.filter(({ state }) => state === 'acked').length,
    trace: scheduler.trace.lines,
  }
}
