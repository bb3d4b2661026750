import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isAll } from './all.ts'
import { type Ask, live } from './ask.ts'
import { placesLike } from './cuts.ts'
import { powerBench } from './disk.ts'
import { type Ledger, newLedger, type Told } from './ledger.ts'
import { lostFrom } from './look.ts'

test.for([
  { where: 'in one directory, poisoned, and recovered each time', life: 'same' },
  { where: 'in a new directory each time', life: 'new' },
])(
  'the Nth sync fails and so do all after it, N = 1, 2, 3 …: nothing is acknowledged any more, and a power cut then takes nothing that was, $where (D2, D3, D4, I1, I2, I4)',
  async ({ life }, context) => {
    const bench = await powerBench(context)
    await using disk = await bench.image()
    const places = await placesLike(bench)
    const began = Date.now()
    let ledger: Ledger = newLedger()
    let lives = 0
    let failing = 0
    let syncs = 0
    const wrong: string[] = []
    const codes = new Map<string, number>()
    const directory = () => (life === 'new' ? `store-${lives}` : 'store')

    function onTold(told: Told): void {
      ledger.told(told)
      const code = told.type === 'failed' || told.type === 'end' ? told.code : undefined
      if (code !== undefined) codes.set(code, (codes.get(code) ?? 0) + 1)
      if (told.type === 'end' && told.outcome === 'acknowledged' && syncs >= lives && failing > 0)
        wrong.push(`life ${lives}: ${told.key} was acknowledged after a sync had failed`)
    }

    async function between({ phase }: Ask): Promise<'go' | 'kill'> {
      if (phase === 'before a life') {
        if (life === 'new' && lives > 0) await rm(join(disk.at, directory()), { recursive: true, force: true })
        lives++
        if (life === 'new') ledger = newLedger()
        failing = 0
        syncs = 0
        return 'go'
      }
      if (isAll || life === 'new' || lives % 2 === 0) await look()
      // A life in which nothing failed was the last that there is.
      return failing === 0 ? 'kill' : 'go'
    }

    async function look(): Promise<void> {
      await using cut = await disk.cut()
      const there = await placesLike(bench, places)
      const lost = await lostFrom(join(cut.at, directory()), there, ledger.snapshot())
      wrong.push(...lost.map(what => `life ${lives}: ${what}`))
      await rm(there, { recursive: true })
    }

    await live(bench.shim, {
      under: disk.at,
      kinds: 's',
      args: [join(disk.at, 'store'), places, 'errors', life],
      onTold,
      onAsk(ask) {
        if (ask.call === 'cut') return between(ask)
        syncs++
        if (syncs < lives) return 'go'
        failing++
        return 'EIO'
      },
    })
    console.log(`${lives} lives, ${Date.now() - began} ms; ${JSON.stringify(Object.fromEntries(codes))}`)
    expect(wrong).toEqual([])
    expect(lives).toBeGreaterThan(10)
    expect([...codes.keys()]).toEqual(['CORRUPT'])
  },
)

test('a file system that cannot sync directories is refused, at once (D3)', async context => {
  const bench = await powerBench(context)
  await using disk = await bench.image()
  const told: Told[] = []
  await live(bench.shim, {
    under: disk.at,
    kinds: 's',
    args: [join(disk.at, 'store'), await placesLike(bench), 'errors'],
    onTold: each => told.push(each),
    onAsk: ({ call, phase }) => (call === 'fsync' ? 'EINVAL' : phase === 'after a life' ? 'kill' : 'go'),
  })
  expect(told.filter(({ type }) => type !== 'phase')).toMatchObject([{ type: 'failed', code: 'INVALID', rule: 'sync' }])
})
