import type { Clock } from '../../src/core/ports.ts'
import { systemClock } from '../../src/core/system.ts'
import type { KeyView, ProviderRow } from '../../src/journal/contract.ts'
import { newCounting } from '../../src/reconcile/counters.ts'
import { pacedProviders } from '../../src/reconcile/pace.ts'
import { reconcile } from '../../src/reconcile/reconcile.ts'
import type { ReconcileDeps, ReconcileTerms } from '../../src/reconcile/terms.ts'
import type { Drift, Mended, Mending, ReconcileCounters, Side } from '../../src/reconcile/types.ts'
import { plant, place, type Place } from './scene.ts'

/** Providers in memory, a journal made by hand, and a mend that only writes down what it was asked for: milliseconds, no directory. */
export interface World {
  readonly places: readonly Place[]
  readonly first: Place
  readonly second: Place
  readonly rows: { -readonly [Name in keyof ProviderRow]: ProviderRow[Name] }[]
  readonly open: Set<string>
  readonly jobs: Map<string, string>
  readonly said: string[]
  readonly mended: Mending[]
  /** What mending comes to. Default: queued. */
  mend: (mending: Mending) => Promise<Mended>
  /** The same object at all places. */
  everywhere(key: string, planted?: Parameters<typeof plant>[2]): Promise<void>
  run(terms?: Partial<ReconcileTerms>, signal?: AbortSignal): Run
}

export interface Run {
  readonly iterate: AsyncGenerator<Drift, ReconcileCounters, undefined>
  readonly counters: ReconcileCounters
  /** To its end. */
  readonly all: () => Promise<{ readonly drift: readonly Drift[]; readonly counters: ReconcileCounters }>
}

/** `clock`: that of the services. */
export function world(count = 2, clock: Clock = systemClock, attests = true): World {
  const places = ['first', 'second', 'third'].slice(0, count).map(name => place(name, clock, attests))
  const [first, second] = places as [Place, Place]
  const rows = places.map(({ inner: { location, name } }, index) => ({
    id: index + 1,
    location,
    name,
    identity: undefined,
    capabilities: undefined,
    health: undefined,
    isFilled: true,
    isStale: false,
  }))
  const nothing: KeyView = {
    open: undefined,
    tentative: undefined,
    deleted: undefined,
    newest: undefined,
    cached: undefined,
  }
  const made: World = {
    places,
    first,
    second,
    rows,
    open: new Set(),
    jobs: new Map(),
    said: [],
    mended: [],
    mend: async () => ({ is: 'queued', bytes: 0 }),
    async everywhere(key, planted) {
      for (const { inner } of places) await plant(inner, key, planted)
    },
    run(terms = {}, signal = new AbortController().signal) {
      const paced = pacedProviders(
        places.map(({ provider }) => provider),
        { clock: systemClock, requestsPerSecond: 1_000_000, bytesPerSecond: undefined },
      )
      const sides = paced.map(
        (provider, index): Side => ({
          id: index + 1,
          provider,
          isStale: rows[index]?.isStale ?? false,
        }),
      )
      const counting = newCounting(
        sides.map(({ provider }) => provider.name),
        '',
      )
      const iterate = reconcile(depsOf(made, nothing), { ...defaults, sides, ...terms }, counting, signal)
      return { iterate, counters: counting, all: () => all(iterate) }
    },
  }
  return made
}

const defaults: Omit<ReconcileTerms, 'sides'> = {
  isEverybody: true,
  repair: false,
  prefix: '',
  startAfter: '',
  resume: false,
  attributes: false,
  deep: false,
  guard: { objects: 1_000, percent: 5 },
  confirm: false,
  leftovers: 'report',
  mirrorsForeign: true,
}

function depsOf(made: World, nothing: KeyView): ReconcileDeps {
  const { rows, open, jobs, said, mended } = made
  return {
    clock: systemClock,
    mend: async mending => {
      const { key, wanted, targets } = mending
      mended.push({ key, wanted, targets })
      return made.mend(mending)
    },
    journal: {
      isOpen: key => open.has(key),
      view: () => nothing,
      providers: () => rows,
      job: name => jobs.get(name),
      saveJob: async (name, state) => {
        if (state === undefined) jobs.delete(name)
        else jobs.set(name, state)
      },
      counts: () => ({ accepted: 0, done: 0, superseded: 0, abandoned: 0, groups: [], oldestWaitingAt: undefined }),
      filled: async id => void said.push(`filled ${id}`),
      trusted: async id => void said.push(`trusted ${id}`),
    },
  }
}

async function all(iterate: Run['iterate']) {
  const drift: Drift[] = []
  let step = await iterate.next()
  while (step.done !== true) {
    drift.push(step.value)
    step = await iterate.next()
  }
  return { drift, counters: step.value }
}
