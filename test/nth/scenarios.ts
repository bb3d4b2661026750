import type { HoldfastOptions } from '../../src/holdfast/options.ts'
import type { App } from './app.ts'
import { holdMs, type World } from './world.ts'

/** What is done while one call fails. */
export interface Scenario {
  readonly name: string
  readonly options?: Partial<HoldfastOptions>
  /** Default 2: `a` and `b`. */
  readonly services?: number
  /** Before anything fails; a store is open. Default: nothing. Everything is on its way, or as it says, afterwards. */
  before?(world: World): Promise<void>
  /** The fault may happen while the directory is opened, too. */
  readonly opens?: true
  act(app: App, world: World): Promise<void>
  /** What was cut short is done again by the process that comes after. */
  readonly resumes?: true
  /** Time that passes after it, while calls may fail. Default: what passes at once. */
  readonly passMs?: number
}

function bytes(size: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => (index * 31 + seed * 17 + (index >> 8)) & 0xff)
}

/** In the journal's row; in a file; in a file that is read in two pieces. */
const small = bytes(50, 1)
const other = bytes(60, 2)
const file = bytes(40_000, 3)
const large = bytes(300_000, 4)
const marked = { contentType: 'text/x-marked', metadata: { colour: 'blue', size: 'large' } }

/** What was there before is at all providers, looked at twice. */
async function settled(world: World): Promise<void> {
  await world.drive(world.app.store.drain({ until: 'verified' }), 'draining before')
  await world.clock.advance(1_000)
}

async function stored(world: World): Promise<void> {
  await world.drive(world.app.store.drain(), 'draining before')
}

export const scenarios: readonly Scenario[] = [
  { name: 'put of a small body', act: app => app.put('k', small, marked).then(() => {}) },
  { name: 'put of a file', act: app => app.put('k', file, marked).then(() => {}) },
  {
    name: 'put of a stream, over what was there, acknowledged by all',
    async before({ app }) {
      await app.put('k', small)
    },
    act: app => app.put('k', large, { ...marked, streamed: true, ack: 'all' }).then(() => {}),
    passMs: 5_000,
  },
  {
    name: 'conditional puts',
    async before(world) {
      await world.app.put('old', small)
      await settled(world)
    },
    async act(app) {
      const first = await app.put('k', file, { if: 'absent' })
      if (first !== undefined) await app.put('k', small, { if: { version: first } })
      await app.put('old', other, { if: 'absent' })
    },
    passMs: 5_000,
  },
  {
    name: 'delete',
    async before(world) {
      await world.app.put('gone', small)
      await world.app.put('k', file)
      await settled(world)
      await world.app.put('fresh', file)
    },
    async act(app) {
      await app.delete('k')
      await app.delete('fresh')
      await app.delete('gone')
    },
    passMs: 5_000,
  },
  {
    name: 'copy of what is here, and of what the providers have',
    async before(world) {
      await world.app.put('away', large, marked)
      await settled(world)
      await world.close()
      await world.open({ replication: { run: 'external' } })
      await world.app.put('here', file, marked)
    },
    async act(app) {
      await app.copy('here', 'copy of here')
      await app.copy('away', 'copy of away')
    },
  },
  {
    name: 'uploads in parts',
    async act(app) {
      const id = await app.begin('whole')
      if (id !== undefined) {
        await app.part(id, 1, small)
        await app.part(id, 2, file)
        await app.part(id, 1, large)
        await app.complete(id, [1, 2])
      }
      const given = await app.begin('given up')
      if (given === undefined) return
      await app.part(given, 1, file)
      await app.abort(given)
    },
    passMs: 1_000,
  },
  {
    name: 'replicate to both',
    opens: true,
    async before(world) {
      await world.app.put('gone', file)
      await world.app.put('over', file)
      await settled(world)
      await world.close()
      await world.open({ replication: { run: 'external' } })
      await world.app.put('large', large, marked)
      await world.app.put('small', small)
      await world.app.put('over', other, marked)
      await world.app.delete('gone')
      await world.close()
    },
    act: app => app.does('drain', () => app.store.drain()),
    passMs: 20_000,
  },
  {
    name: 'second look and release, to the cache and to the trash',
    options: { cacheBytes: 250_000 },
    async before(world) {
      await world.app.put('gone', small)
      await settled(world)
      await world.app.put('kept', file, marked)
      await world.app.put('too large for the cache', large)
      await world.app.put('small', small)
      await world.app.delete('gone')
      await stored(world)
    },
    act: async () => {},
    passMs: holdMs + 20_000,
  },
  {
    name: 'fetching anew what was damaged on local disk',
    async before(world) {
      await world.app.put('damaged', large, marked)
      await stored(world)
      await world.lose(1, 'damaged')
      await world.damage()
    },
    act: async () => {},
    passMs: holdMs + 20_000,
  },
  {
    name: 'recover',
    opens: true,
    async before(world) {
      const { app } = world
      await app.put('verified', file)
      await settled(world)
      await app.put('stored', large, marked)
      await app.put('small and stored', small)
      await stored(world)
      await world.drop()
      await world.open({ replication: { run: 'external' } })
      await app.put('pending', file, marked)
      await app.put('small and pending', small)
      await app.delete('verified')
      // Nobody decides it here: it is left as it is when the process ends.
      const tentative = app.put('tentative', file, { if: 'absent' })
      const id = await app.begin('upload')
      if (id !== undefined) await app.part(id, 1, file)
      await world.clock.advance(0)
      const maybe = app.mayBe('tentative')
      await world.drop()
      await tentative
      // What its caller was told by the process that lives on is no word of the one that is gone.
      app.may.set('tentative', maybe)
      await world.litter()
    },
    async act(app) {
      await app.get('pending')
      await app.put('new', small)
    },
    passMs: 5_000,
  },
  {
    name: 'recover a poisoned directory',
    opens: true,
    async before(world) {
      await world.app.put('stored', large, marked)
      await stored(world)
      await world.close()
      await world.open({ replication: { run: 'external' } })
      await world.app.put('pending', file, marked)
      await world.app.put('small and pending', small)
      const id = await world.app.begin('upload')
      if (id !== undefined) await world.app.part(id, 1, file)
      await world.drop()
      await world.litter()
      await world.poison()
    },
    async act(app) {
      await app.put('new', small)
    },
    passMs: 1_000,
  },
  {
    name: 'get, head and list, with failover and with what is not replicated yet',
    async before(world) {
      await world.app.put('away', large, marked)
      await world.app.put('small and away', small)
      await world.app.put('deleted', small)
      await settled(world)
      await world.close()
      await world.open({ replication: { run: 'external' } })
      await world.app.put('here', file, marked)
      await world.app.delete('deleted')
    },
    async act(app) {
      await app.get('away')
      await app.get('here')
      await app.get('deleted')
      await app.get('never there')
      await app.head('small and away')
      await app.list()
    },
  },
  {
    name: 'deleteMany',
    async before(world) {
      for (const key of ['x/1', 'x/2', 'y']) await world.app.put(key, small)
      await settled(world)
      await world.app.put('x/3', file)
    },
    act: app => app.deleteMany('x/'),
  },
  {
    name: 'reconcile with repair',
    resumes: true,
    async before(world) {
      for (const key of ['lost at a', 'lost at b', 'whole'])
        await world.app.put(key, key === 'whole' ? small : file, marked)
      await world.app.put('deleted', small)
      await settled(world)
      await world.app.delete('deleted')
      await settled(world)
      const [a, b] = world.services
      const signal = new AbortController().signal
      await a?.delete('lost at a', undefined, signal)
      await b?.delete('lost at b', undefined, signal)
    },
    async act(app) {
      await app.does('reconcile', async () => app.store.reconcile({ repair: true, ...terms(app) }))
    },
    passMs: 5_000,
  },
  {
    name: 'backfill of a new mirror',
    resumes: true,
    services: 3,
    async before(world) {
      await world.close()
      await world.open({ services: 2 })
      await world.app.put('large', large, marked)
      await world.app.put('small', small)
      await world.app.put('deleted', small)
      await settled(world)
      await world.app.delete('deleted')
      await settled(world)
      await world.close()
      await world.open()
    },
    async act(app) {
      await app.does('backfill', async () => app.store.backfill({ to: 'c', ...terms(app) }))
    },
    passMs: 5_000,
  },
  {
    name: 'evacuate to a new mirror',
    resumes: true,
    services: 3,
    async before(world) {
      await world.close()
      await world.open({ services: 2 })
      await world.app.put('file', file, marked)
      await world.app.put('small', small)
      await settled(world)
      await world.close()
      await world.open()
    },
    async act(app) {
      await app.does('evacuate', async () => app.store.evacuate({ from: 'a', to: 'c', ...terms(app) }))
    },
    passMs: 5_000,
  },
  {
    name: 'close during everything',
    async before(world) {
      await world.app.put('away', large, marked)
      await world.app.put('over', small)
      await settled(world)
    },
    async act(app, world) {
      const { store } = app
      const all = [
        app.put('file', file, marked),
        app.put('over', other, { if: 'absent' }),
        app.put('stream', large, { streamed: true, ack: 'one' }),
        app.delete('away'),
        app.copy('over', 'copy'),
        app.get('never there'),
        app.list(),
        app.begin('upload'),
        app.does('reconcile', async () => store.reconcile({ repair: true, ...terms(app) })),
      ]
      await world.clock.advance(0)
      await app.does('close', () => store.close())
      await Promise.all(all)
    },
  },
]

function terms({ signal }: App): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}
