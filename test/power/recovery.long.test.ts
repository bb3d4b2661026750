import { randomInt } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { seededRandom } from '../../src/testing/clock.ts'
import { isAll } from './all.ts'
import { type Ask, live } from './ask.ts'
import { cutAtEverySync, perPhase, placesLike } from './cuts.ts'
import { type Bench, type Image, powerBench } from './disk.ts'
import { newLedger, type Snapshot } from './ledger.ts'
import { lostFrom } from './look.ts'

function seeded(): () => number {
  const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 24))
  console.log(`seed ${seed}: HOLDFAST_SEED=${seed} repeats the choices`)
  return seededRandom(seed).number
}

interface Crash {
  readonly disk: Image
  readonly places: string
  readonly promised: Snapshot
}

/** A life that ends by kill -9 at a sync of its work. */
async function crashed(
  bench: Bench,
  scenario: string,
  isEnd: (ask: Ask) => boolean,
): Promise<Crash & { readonly finished: boolean }> {
  const disk = await bench.image()
  const places = await placesLike(bench)
  const ledger = newLedger()
  const { finished } = await live(bench.shim, {
    under: disk.at,
    kinds: 's',
    args: [join(disk.at, 'store'), places, scenario],
    onTold: ledger.told,
    onAsk: ask => (isEnd(ask) ? 'kill' : 'go'),
  })
  return { disk, places, promised: ledger.snapshot(), finished }
}

test('killed at the Nth sync, and the power cut: what was acknowledged is on both providers, from the first to the last (D1, P1, I1, I3, I18, I19)', async context => {
  const bench = await powerBench(context)
  const random = seeded()
  const stride = isAll ? 1 : 9
  let kills = 0
  for (let at = isAll ? 1 : 1 + Math.floor(random() * stride), isOver = false; !isOver; at += stride) {
    const crash = await crashed(bench, 'release', ({ number }) => number === at)
    await using disk = crash.disk
    await using cut = await disk.cut()
    expect(await lostFrom(join(cut.at, 'store'), crash.places, crash.promised), `killed at sync ${at}`).toEqual([])
    await rm(crash.places, { recursive: true })
    isOver = crash.finished
    if (!isOver) kills++
  }
  console.log(`${kills} kills, one at every ${stride} syncs`)
  expect(kills).toBeGreaterThan(3)
})

test('a power cut at any sync of a recovery, and at any of the recovery from that, leaves what was acknowledged (P2, D1, I1, I6)', async context => {
  const bench = await powerBench(context)
  const random = seeded()
  const began = Date.now()
  const crash = await crashed(bench, 'mixed', ({ phase, number }) => phase === 'ready' && number > 40 + random() * 400)
  await using live1 = crash.disk
  const { places, promised } = crash
  let second = 0
  const lost: string[] = []
  const first = await cutAtEverySync(bench, 'recovery', {
    disk: await live1.cut(),
    places,
    promised,
    async look(cut, there, known, { number }) {
      const again = await cutAtEverySync(bench, 'recovery', {
        disk: await cut.cut(),
        places: there,
        promised: known,
        isCut: ask => isAll || (number + ask.number) % 8 === 0,
      })
      second += again.images
      lost.push(...again.lost)
      return lostFrom(join(cut.at, 'store'), there, known)
    },
  })
  console.log(
    `${first.images} and then ${second} images, ${promised.keys.size} keys, ${Date.now() - began} ms; syncs: ${perPhase(first.asks)}`,
  )
  expect(first.lost).toEqual([])
  expect(lost).toEqual([])
  expect(second).toBeGreaterThan(5)
})

test('after a sync that failed, a power cut at any sync of the recovery leaves what was acknowledged (D4, I1, I4, I6)', async context => {
  const bench = await powerBench(context)
  const disk = await bench.image()
  const places = await placesLike(bench)
  const ledger = newLedger()
  let hasFailed = false
  // The page cache of this disk shows what its file has not: that is what a recovery without a power cut in between meets.
  await live(bench.shim, {
    under: disk.at,
    kinds: 's',
    args: [join(disk.at, 'store'), places, 'writes'],
    onTold: ledger.told,
    onAsk({ phase, path }) {
      hasFailed ||= phase === 'eight puts at once' && path.endsWith('-wal')
      if (phase === 'closing') return 'kill'
      return hasFailed ? 'EIO' : 'go'
    },
  })
  expect(hasFailed).toBe(true)
  const { asks, images, lost } = await cutAtEverySync(bench, 'recovery', { disk, places, promised: ledger.snapshot() })
  console.log(`${images} images; syncs: ${perPhase(asks)}`)
  expect(asks.map(({ path }) => path.replace(/.*\//, ''))).toContain('journal.sqlite.next')
  expect(lost).toEqual([])
})

test('the power cut again and again at random moments of mixed work, a life after each: nothing that was acknowledged is lost (D1, I1, I3, I10)', async context => {
  const bench = await powerBench(context)
  const random = seeded()
  const cuts = Number(process.env['HOLDFAST_CUTS'] ?? (isAll ? 60 : 20))
  const began = Date.now()
  const places = await placesLike(bench)
  const ledger = newLedger()
  let disk = await bench.image()
  for (let life = 0; life < cuts; life++) {
    const { promise: ready, resolve } = Promise.withResolvers<void>()
    const killer = new AbortController()
    void ready.then(() => setTimeout(() => killer.abort(), 50 + random() * 400))
    await live(bench.shim, {
      under: disk.at,
      kinds: '',
      args: [join(disk.at, 'store'), places, 'mixed', String(life)],
      signal: killer.signal,
      onTold(told) {
        if (told.type === 'phase' && told.name === 'ready') resolve()
        ledger.told(told)
      },
      onAsk: () => 'go',
    })
    await using before = disk
    disk = await before.cut()
  }
  await using last = disk
  const lost = await lostFrom(join(last.at, 'store'), places, ledger.snapshot())
  console.log(`${cuts} power cuts, ${ledger.acknowledged} acknowledged, ${Date.now() - began} ms`)
  expect(lost).toEqual([])
  expect(ledger.acknowledged).toBeGreaterThan(cuts * 5)
})
