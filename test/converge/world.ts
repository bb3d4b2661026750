import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../src/core/ports.ts'
import type { Provider } from '../../src/core/provider.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openWith } from '../../src/holdfast/open.ts'
import { memory } from '../../src/providers/memory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { seededRandom } from '../../src/testing/clock.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { FaultyCall, Faults } from '../../src/testing/faulty/rules.ts'
import { checkDirectory } from '../support/directory.ts'
import { skewed, type WorldClock, worldClock } from './clock.ts'
import { moodRules, mostLateMs } from './moods.ts'
import { type Weakness, weak } from './weak.ts'

/** Longer than any request lives: a minute until a waiting put asks for markers, and what `moods.ts` adds. */
export const holdMs: number = 60_000 + 2 * mostLateMs
const mostSkewMs = 240_000
const nodeCount = 3

export interface WorldOptions {
  readonly seed: number
  /** Faults happen between these times, by the world's clock. */
  readonly fromMs: number
  readonly toMs: number
  /** Default that of this module. */
  readonly holdMs?: number
  /** Instead of what the seed says. */
  readonly weakness?: readonly Weakness[]
  /** What stands between the nodes and the services, for tests of the test: a provider that breaks the contract. */
  readonly broken?: (provider: Provider) => Provider
}

/** A process with a directory and a clock of its own. */
export interface Node {
  readonly name: number
  /** `undefined` while it is down. */
  store: Holdfast | undefined
  /** The world's time, not its own. */
  now(): number
  up(): Promise<void>
  /** Ends without draining. */
  down(): Promise<void>
}

/** Three nodes that share two or three services. */
export interface World extends AsyncDisposable {
  readonly clock: WorldClock
  readonly nodes: readonly Node[]
  /** The services themselves, without faults. */
  readonly services: readonly Provider[]
  /** In words, for messages. */
  readonly description: string
  /** Whether every service keeps conditions, tells writes apart, and never lies. */
  readonly isStrong: boolean
  readonly calls: () => (FaultyCall & { readonly provider: string })[]
}

export async function openWorld(options: WorldOptions): Promise<World> {
  const { seed, broken = provider => provider } = options
  const random = seededRandom(seed)
  const clock = worldClock()
  const startMs = clock.now()
  const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-converge-'))
  const lies = random.number() < 0.3
  const count = random.number() < 0.5 ? 2 : 3
  const described: string[] = []
  const allFaults: Faults[] = []
  const services = Array.from({ length: count }, (_, index) => memory({ name: `p${index}`, clock }))
  const providers = services.map((service, index) => {
    const lacks = new Set(options.weakness ?? someWeakness(random.number, count))
    described.push(`${service.name}${[...lacks].map(name => ` -${name}`).join('')}`)
    const faults: Faults = {
      rules: moodRules({ ...options, seed: seed * 7 + index, clock, lies: lies && lacks.size === 0 }),
    }
    allFaults.push(faults)
    return faulty(broken(lacks.size === 0 ? service : weak(service, lacks)), faults, { clock })
  })
  const [primary, secondary, ...mirrors] = providers as [Provider, Provider, ...Provider[]]
  const nodes = Array.from({ length: nodeCount }, (_, name): Node => {
    const skewMs = Math.round((random.number() * 2 - 1) * mostSkewMs)
    described.push(`node ${name} ${skewMs > 0 ? '+' : ''}${Math.round(skewMs / 1000)} s`)
    const own: Clock = skewed(clock, skewMs)
    const directory = join(root, String(name))
    let lives = 0
    let closed: Promise<void> | undefined
    return {
      name,
      store: undefined,
      now: clock.monotonic,
      async up() {
        await closed
        const ports = { clock: own, disk: nodeDisk, random: seededRandom(seed * 31 + name * 7 + lives++) }
        const hold = options.holdMs ?? holdMs
        this.store = await openWith({ directory, primary, secondary, mirrors, holdMs: hold }, ports)
      },
      async down() {
        const { store } = this
        this.store = undefined
        closed = store?.close()
        await closed
      },
    }
  })
  // One after the other: where a service cannot create only, two that meet an empty bucket at once would not agree on its name.
  for (const node of nodes) {
    await node.up()
    await clock.advance(1_000)
  }
  return {
    clock,
    nodes,
    services,
    description: described.join(', ') + (lies ? ', lies' : ''),
    isStrong:
      !lies &&
      providers.every(
        ({ capabilities: can }) => can.createIfAbsent && can.replaceIf && can.deleteIf && can.uniqueTokens,
      ),
    calls: () =>
      allFaults.flatMap(({ calls = [] }, index) =>
        calls.map(call => ({ ...call, at: call.at - startMs, provider: `p${index}` })),
      ),
    async [Symbol.asyncDispose]() {
      for (const node of nodes) {
        const closed = node.down()
        await clock.advance(1_000)
        await closed
        await checkDirectory(join(root, String(node.name)))
      }
      await rm(root, { recursive: true, force: true })
    },
  }
}

function someWeakness(number: () => number, count: number): Weakness[] {
  const shares: readonly (readonly [Weakness, number])[] = [
    ['createIfAbsent', 0.15],
    ['replaceIf', 0.15],
    ['deleteIf', 0.4],
    ['uniqueTokens', 0.4],
  ]
  const isWeak = number() < 0.8 / count
  return shares.flatMap(([name, share]) => (number() < share && isWeak ? [name] : []))
}
