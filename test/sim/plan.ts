import { seededRandom } from '../../src/testing/clock.ts'
import type { Weakness } from '../converge/weak.ts'
import type { Engine } from './journal.ts'

/** How a provider is for a while. */
export type Mood = 'flaky' | 'down' | 'throttling' | 'hanging' | 'slow' | 'denied'

/** How a disk is for a while. */
export type DiskMood = 'failing' | 'unreadable' | 'busy' | 'full'

/** What happens in a world, at its time. Slots are processes: each is started again when it ended. */
export type Happening =
  | {
      readonly what: 'put'
      readonly slot: number
      readonly key: string
      readonly body: string
      /** Bytes at least; over 16 KiB it is a file. */
      readonly size: number
      readonly as: 'bytes' | 'stream' | 'slow stream' | 'upload'
      readonly isConditional: boolean
      readonly abortMs: number | undefined
    }
  | { readonly what: 'delete'; readonly slot: number; readonly key: string; readonly isConditional: boolean }
  | { readonly what: 'get' | 'head'; readonly slot: number; readonly key: string; readonly abortMs: number | undefined }
  | { readonly what: 'list'; readonly slot: number }
  | { readonly what: 'copy'; readonly slot: number; readonly key: string }
  /** What is copied: written once. */
  | { readonly what: 'source'; readonly slot: number }
  | { readonly what: 'deleteMany'; readonly slot: number; readonly prefix: string }
  | { readonly what: 'reconcile'; readonly slot: number }
  | { readonly what: 'kill' | 'restart'; readonly slot: number; readonly backMs: number }
  | { readonly what: 'power cut'; readonly machine: number; readonly backMs: number }
  | { readonly what: 'stop'; readonly slot: number; readonly ms: number }
  | { readonly what: 'clock'; readonly machine: number; readonly byMs: number }
  | { readonly what: 'disk'; readonly machine: number; readonly mood: DiskMood; readonly ms: number }
  | { readonly what: 'rot'; readonly machine: number }
  | { readonly what: 'mood'; readonly provider: number; readonly mood: Mood; readonly ms: number }

export type Step = Happening & { readonly at: number }

export interface ProviderPlan {
  readonly weakness: readonly Weakness[]
  /** Share of the puts and deletes that are acknowledged and not done. */
  readonly lies: number
}

/** Everything that a world is made of, derived from its seed; a part of it makes a smaller world. */
export interface Plan {
  readonly seed: number
  readonly engine: Engine
  /** Processes of each machine. */
  readonly machines: readonly { readonly processes: number; readonly skewMs: number }[]
  readonly providers: readonly ProviderPlan[]
  readonly store: {
    readonly holdMs: number
    readonly ack: 'local' | 'one' | 'all'
    readonly keys: 'strict' | 'encode'
    readonly cacheBytes: number
    readonly maxStageBytes: number
    readonly hedge: boolean
    readonly scrub: boolean
  }
  /** A directory that nobody opened before. */
  readonly isNew: boolean
  readonly steps: readonly Step[]
  /** When the last thing happens, ms. */
  readonly endMs: number
  /** What the world does wrong itself, to show that it would be seen. */
  readonly breaks?: 'names are not synced' | 'files are not synced'
}

/** A request comes at most so much later than its sender gave up: together with a minute of waiting it is less than the hold. */
export const mostLateMs = 20_000
export const leastHoldMs: number = 60_000 + 2 * mostLateMs

const keyCount = 4

export function planOf(seed: number): Plan {
  const random = seededRandom(seed)
  const number = () => random.number()
  const pick = (below: number) => Math.floor(number() * below)
  const oneOf = <T>(...all: readonly T[]): T => all[pick(all.length)] as T
  const machineCount = oneOf(1, 1, 2, 3)
  const machines = Array.from({ length: machineCount }, () => ({
    processes: oneOf(1, 1, 2),
    skewMs: machineCount === 1 ? 0 : Math.round((number() * 2 - 1) * 200_000),
  }))
  const slots = machines.reduce((sum, { processes }) => sum + processes, 0)
  const isWeak = number() < 0.3
  const providers = Array.from({ length: oneOf(2, 2, 3) }, (): ProviderPlan => {
    const weakness: Weakness[] = []
    if (isWeak && number() < 0.5) {
      if (number() < 0.2) weakness.push('createIfAbsent')
      if (number() < 0.2) weakness.push('replaceIf')
      if (number() < 0.5) weakness.push('deleteIf')
      if (number() < 0.5) weakness.push('uniqueTokens')
    }
    return { weakness, lies: weakness.length === 0 && number() < 0.1 ? 0.02 : 0 }
  })
  const endMs = oneOf(2_000, 20_000, 60_000, 150_000)
  const steps: Step[] = []
  const add = (happening: Happening) => steps.push({ ...happening, at: Math.round(number() * endMs * 1000) / 1000 })
  const key = () => `k/${pick(keyCount)}`
  const abortMs = () => (number() < 0.05 ? number() * 50 : undefined)
  const calls = oneOf(6, 12, 30)
  for (let call = 0; call < calls; call++) {
    const slot = pick(slots)
    const body = number() < 0.15 ? 'the same' : `body ${seed}.${call}`
    const kind = number()
    if (kind < 0.45)
      add({
        what: 'put',
        slot,
        key: key(),
        body,
        size: number() < 0.25 ? 17_000 + pick(30_000) : pick(200),
        as: oneOf('bytes', 'bytes', 'stream', 'slow stream', 'upload'),
        isConditional: number() < 0.2,
        abortMs: abortMs(),
      })
    else if (kind < 0.62) add({ what: 'delete', slot, key: key(), isConditional: number() < 0.15 })
    else if (kind < 0.85) add({ what: number() < 0.8 ? 'get' : 'head', slot, key: key(), abortMs: abortMs() })
    else if (kind < 0.9) add({ what: 'list', slot })
    else if (kind < 0.95) add({ what: 'copy', slot, key: key() })
    else if (kind < 0.97) add({ what: 'deleteMany', slot, prefix: oneOf('k/0', 'k/') })
    else add({ what: 'reconcile', slot })
  }
  if (steps.some(({ what }) => what === 'copy')) steps.push({ what: 'source', slot: 0, at: 0.5 })
  const some = (most: number, share: number, make: () => void) => {
    if (number() >= share) return
    for (let left = 1 + pick(most); left > 0; left--) make()
  }
  some(3, 0.4, () => add({ what: 'kill', slot: pick(slots), backMs: oneOf(10, 1_000, 30_000) }))
  some(2, 0.4, () => add({ what: 'power cut', machine: pick(machineCount), backMs: oneOf(10, 1_000, 30_000) }))
  some(2, 0.2, () => add({ what: 'restart', slot: pick(slots), backMs: oneOf(10, 5_000) }))
  some(2, 0.15, () => add({ what: 'stop', slot: pick(slots), ms: oneOf(100, 10_000, 90_000) }))
  some(2, 0.1, () =>
    add({ what: 'clock', machine: pick(machineCount), byMs: Math.round((number() * 2 - 1) * 120_000) }),
  )
  some(2, 0.2, () =>
    add({
      what: 'disk',
      machine: pick(machineCount),
      mood: oneOf('failing', 'unreadable', 'busy', 'full'),
      ms: oneOf(50, 2_000, 20_000),
    }),
  )
  some(1, 0.05, () => add({ what: 'rot', machine: pick(machineCount) }))
  some(4, 0.7, () =>
    add({
      what: 'mood',
      provider: pick(providers.length),
      mood: oneOf('flaky', 'flaky', 'flaky', 'down', 'throttling', 'hanging', 'slow', 'denied'),
      ms: oneOf(500, 5_000, 40_000),
    }),
  )
  // On a service that cannot create only, the identity that arrives last stays: until there is one, nothing is late there.
  const lasts = (index: number) => providers[index]?.weakness.includes('createIfAbsent') ?? false
  const isTooEarly = (step: Step) =>
    step.at < 5_000 &&
    (step.what === 'mood' ? lasts(step.provider) : step.what === 'stop' && providers.some((_, index) => lasts(index)))
  const happening = steps.filter(step => !isTooEarly(step)).toSorted((a, b) => a.at - b.at)
  return {
    seed,
    engine: number() < 0.02 ? 'sqlite' : 'memory',
    machines,
    providers,
    store: {
      holdMs: leastHoldMs + oneOf(0, 1_000, 60_000),
      ack: oneOf('local', 'local', 'local', 'one', 'all'),
      keys: oneOf('strict', 'strict', 'encode'),
      cacheBytes: oneOf(0, 0, 50_000),
      maxStageBytes: oneOf(10_000_000, 10_000_000, 100_000),
      hedge: number() < 0.2,
      scrub: number() < 0.1,
    },
    isNew: number() < 0.03,
    steps: happening,
    endMs,
  }
}
