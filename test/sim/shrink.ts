import type { Plan } from './plan.ts'
import { run } from './run.ts'

/** So many worlds are tried. */
const mostRuns = 400

/** A plan that is still wrong, and nothing of which can be left out without it being well. What is wrong may have become something else. */
export interface Shrunk {
  readonly plan: Plan
  readonly faults: readonly string[]
}

/** Leaves out steps, half of them, a quarter and so on down to single ones; then what the world is made of. */
export async function shrink(plan: Plan): Promise<Shrunk> {
  let best: Shrunk = { plan, faults: (await run(plan)).faults }
  const [wanted] = best.faults
  if (wanted === undefined) return best
  let runs = 0
  const attempt = async (smaller: Plan): Promise<boolean> => {
    if (runs++ >= mostRuns) return false
    const { faults } = await run(smaller)
    if (!faults.some(fault => kindOf(fault) === kindOf(wanted))) return false
    best = { plan: smaller, faults }
    return true
  }
  for (let size = Math.ceil(plan.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < best.plan.steps.length; ) {
      const { steps } = best.plan
      const isGone = await attempt({ ...best.plan, steps: [...steps.slice(0, at), ...steps.slice(at + size)] })
      if (!isGone) at += size
    }
  }
  for (const simpler of simplerWorlds) await attempt(simpler(best.plan))
  return best
}

/** Other numbers and keys are the same fault. */
function kindOf(fault: string): string {
  return /\(I\d[^)]*\)/.exec(fault)?.[0] ?? fault.replaceAll(/[0-9a-f]{8,}|\d+/g, '').slice(0, 60)
}

const simplerWorlds: readonly ((plan: Plan) => Plan)[] = [
  plan => ({ ...plan, machines: plan.machines.map(machine => ({ ...machine, skewMs: 0 })) }),
  plan => ({ ...plan, providers: plan.providers.slice(0, 2) }),
  plan => ({ ...plan, providers: plan.providers.map(() => ({ weakness: [], lies: 0 })) }),
  plan => ({ ...plan, store: { ...plan.store, hedge: false, scrub: false } }),
  plan => ({ ...plan, store: { ...plan.store, ack: 'local' } }),
  plan => ({ ...plan, store: { ...plan.store, keys: 'strict' } }),
  plan => ({ ...plan, store: { ...plan.store, cacheBytes: 0, maxStageBytes: 10_000_000 } }),
  plan => ({ ...plan, isNew: false }),
  plan => ({ ...plan, engine: 'memory' }),
]
