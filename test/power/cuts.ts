import { cp, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Answer, type Ask, live } from './ask.ts'
import type { Bench, Image } from './disk.ts'
import { type Ledger, newLedger, type Snapshot } from './ledger.ts'
import { lostFrom, lostFromProvider } from './look.ts'
import { newPlaces } from './places.ts'

export interface Cuts {
  /** Every sync of the life, in order. */
  readonly asks: readonly Ask[]
  /** How many times the power was cut. */
  readonly images: number
  /** What was wrong after which cut. */
  readonly lost: readonly string[]
  readonly ledger: Ledger
}

export interface CutOptions {
  /** What a crash left, which is used up. Default: a new disk. */
  readonly disk?: Image
  /** What is promised of it. */
  readonly promised?: Snapshot
  /** The clouds that go with it; a copy is used. */
  readonly places?: string
  /** Before which syncs the power goes. Default: all, and after the last. */
  readonly isCut?: (ask: Ask) => boolean
  /** What the child hears. Default: go on. */
  readonly answer?: (ask: Ask) => Answer
  /** What is done with a disk without power, and its clouds. Default: it is opened and compared with what is promised. */
  readonly look?: (cut: Image, places: string, promised: Snapshot, ask: Ask) => Promise<readonly string[]>
}

/** A copy of these clouds, or new ones. */
export async function placesLike(bench: Bench, like?: string): Promise<string> {
  const places = await mkdtemp(join(bench.root, 'places-'))
  if (like === undefined) return newPlaces(places)
  await cp(like, places, { recursive: true })
  return places
}

/**
 * One life of `child.ts` on a disk whose power goes before every sync, and after the last: each time the child stands still, what the disk has is
 * copied, mounted and looked at, and the child goes on. What the clouds have then is copied, too. Between two syncs nothing reaches the disk, so
 * that these are all the disks that there are.
 */
export async function cutAtEverySync(bench: Bench, scenario: string, options: CutOptions = {}): Promise<Cuts> {
  const { isCut = () => true, answer = () => 'go' } = options
  const ledger = newLedger(options.promised)
  await using disk = options.disk ?? (await bench.image())
  const places = await placesLike(bench, options.places)
  const isProvider = scenario === 'provider'
  const look =
    options.look ??
    ((cut, there, promised) =>
      isProvider ? lostFromProvider(cut.at, promised) : lostFrom(join(cut.at, 'store'), there, promised))
  const lost: string[] = []
  let images = 0

  async function cutNow(ask: Ask): Promise<void> {
    if (!isCut(ask)) return
    const promised = ledger.snapshot()
    await using cut = await disk.cut()
    const there = await placesLike(bench, places)
    const found = await look(cut, there, promised, ask)
    lost.push(...found.map(what => `at ${ask.call} ${ask.number} (${ask.phase}: ${ask.path}): ${what}`))
    images++
    await rm(there, { recursive: true })
  }

  const { asks } = await live(bench.shim, {
    under: disk.at,
    kinds: 's',
    args: [isProvider ? disk.at : join(disk.at, 'store'), places, scenario],
    onTold: ledger.told,
    onAsk: async ask => {
      await cutNow(ask)
      return answer(ask)
    },
  })
  await cutNow({ number: asks.length + 1, call: 'the end', path: '', phase: 'after all' })
  await rm(places, { recursive: true })
  return { asks, images, lost, ledger }
}

/** How many syncs each phase had. */
export function perPhase(asks: readonly Ask[]): string {
  const counts = new Map<string, number>()
  for (const { phase } of asks) counts.set(phase, (counts.get(phase) ?? 0) + 1)
  return [...counts].map(([phase, count]) => `${phase}: ${count}`).join(', ')
}
