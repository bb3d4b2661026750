import { execFileSync } from 'node:child_process'
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, type TestContext, test } from 'vitest'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { openWith } from '../../src/holdfast/open.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { checkDirectory } from '../support/directory.ts'
import { bodyAt, eventually } from '../support/store.ts'
import { isAll } from './all.ts'
import { type Answer, type Ask, compileShim, live } from './ask.ts'
import { newLedger } from './ledger.ts'
import { lostFrom } from './look.ts'
import { newPlaces, providersAt } from './places.ts'

// Crashes of the process alone: what it wrote is there, synced or not. Needs no root.

async function bench(context: TestContext): Promise<{ readonly root: string; readonly shim: string }> {
  const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-steps-'))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' })
  } catch {
    return context.skip(
      'the steps of a process are asked about by a library, and there is no C compiler (cc; Debian: gcc, libc6-dev)',
    )
  }
  return { root, shim: await compileShim(root) }
}

test('a process killed before any call that changes a file (bytes, names, syncs) leaves what was acknowledged; what was not, wholly or not at all (P1, I1, I3, I5, I18, I19)', async context => {
  const { root, shim } = await bench(context)
  const directory = join(root, 'store')
  const places = await newPlaces(join(root, 'places'))
  const ledger = newLedger()
  const began = Date.now()
  const lost: string[] = []
  const calls = new Map<string, number>()
  let looked = 0
  const stride = isAll ? 1 : 11

  async function look({ number, call, phase }: Ask): Promise<void> {
    const promised = ledger.snapshot()
    // All calls that change something stand still: this is the directory that a process killed now would leave.
    const copy = join(root, 'copy')
    await cp(directory, join(copy, 'store'), { recursive: true }).catch(() => {})
    await cp(places, join(copy, 'places'), { recursive: true })
    const found = await lostFrom(join(copy, 'store'), join(copy, 'places'), promised)
    lost.push(...found.map(what => `at call ${number}, ${call} (${phase}): ${what}`))
    looked++
    await rm(copy, { recursive: true })
  }

  const { asks } = await live(shim, {
    under: directory,
    kinds: 'snw',
    args: [directory, places, 'release'],
    onTold: ledger.told,
    async onAsk(ask): Promise<Answer> {
      calls.set(ask.call, (calls.get(ask.call) ?? 0) + 1)
      if (ask.number % stride === 0) await look(ask)
      return 'go'
    },
  })
  console.log(
    `${asks.length} calls ${JSON.stringify(Object.fromEntries(calls))}, ${looked} looked at, ${Date.now() - began} ms`,
  )
  expect(lost).toEqual([])
  expect(looked).toBeGreaterThan(15)
})

test('what crashes leave that nobody refers to is collected, all of it and nothing else, once it is old enough (D19, I20)', async context => {
  const { root, shim } = await bench(context)
  const directory = join(root, 'store')
  const places = await newPlaces(join(root, 'places'))
  const crashes = isAll ? 40 : 8
  const began = Date.now()
  const bodies = () => readdir(join(directory, 'bodies'))
  const ledger = newLedger()
  for (let life = 0; life < crashes; life++) {
    let before = 0
    await live(shim, {
      under: 'journal.sqlite-wal',
      kinds: 'w',
      args: [directory, places, 'orphans', String(life)],
      onTold: ledger.told,
      async onAsk({ phase }): Promise<Answer> {
        if (phase !== 'crashing') {
          before = (await bodies()).length
          return 'go'
        }
        // The commit of the first waits; the bodies of the others are published meanwhile.
        await eventually(async () => (await bodies()).length >= before + 25)
        return 'kill'
      },
    })
  }
  const orphans = (await bodies()).length - crashes
  expect(orphans).toBe(crashes * 25)

  const [primary, secondary] = providersAt(places)
  const options = { directory, primary, secondary, holdMs: 0 }
  const young = await openWith(options, { disk: nodeDisk, clock: systemClock, random: systemRandom })
  await young.drain({ until: 'verified' })
  await eventually(async () => (await bodies()).length === orphans)
  await young.close()

  const later = { ...systemClock, now: () => systemClock.now() + 16 * 60_000 }
  const old = await openWith(options, { disk: nodeDisk, clock: later, random: systemRandom })
  await eventually(async () => (await bodies()).length === 0)
  for (let life = 0; life < crashes; life++)
    for (const provider of [primary, secondary])
      expect((await bodyAt(provider, `kept/${life}`))?.byteLength).toBe(20_000)
  await old.close()
  await checkDirectory(directory)
  console.log(`${crashes} crashes, ${orphans} orphans, ${Date.now() - began} ms`)
})
