import { describe, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import type { Clock, Random } from '../../src/core/ports.ts'
import { openDirectory } from '../../src/stage/directory.ts'
import type { LinkedBody } from '../../src/stage/drafts.ts'
import { openStage } from '../../src/stage/stage.ts'
import { dice, inPieces } from './bodies.ts'
import { type Call, intercepted } from './disks.ts'
import { type PowerDisk, powerDisk } from './power.ts'

const stillClock: Clock = { now: () => 1_700_000_000_000, monotonic: () => 0, sleep: () => new Promise(() => {}) }

function randomOf(chance: () => number): Random {
  return {
    number: chance,
    hex: bytes => Array.from({ length: bytes * 2 }, () => Math.floor(chance() * 16).toString(16)).join(''),
  }
}

interface Life {
  /** What was acknowledged before the power went: published, and what it is. */
  readonly acknowledged: readonly LinkedBody[]
  readonly identity: string | undefined
  readonly finished: boolean
  readonly after: PowerDisk
}

/** Puts and copies at the same time, until the power goes at the call of this number. `broken` is a disk that leaves something out. */
async function live(seed: number, cutAt: number, broken: (call: Call) => boolean): Promise<Life> {
  const chance = dice(seed)
  const random = randomOf(chance)
  const acknowledged: LinkedBody[] = []
  let identity: string | undefined
  let calls = 0
  const power = powerDisk(chance)
  const cut = Promise.withResolvers<'cut'>()
  let after: PowerDisk | undefined
  const disk = intercepted(power, async (call, run) => {
    if (++calls === cutAt) {
      // Whatever runs at this moment neither succeeds nor fails any more.
      after = power.afterCut(chance)
      cut.resolve('cut')
    }
    if (calls >= cutAt) return new Promise<never>(() => {})
    return broken(call) ? (undefined as never) : run()
  })

  async function work(): Promise<'done'> {
    const directory = await openDirectory({ path: '/data/stage', kind: 'durable', disk, random, clock: stillClock })
    identity = directory.identity
    const stage = openStage({ directory, random, clock: stillClock, maxStageBytes: 1e9, stagedBytes: () => 0 })
    const one = async (index: number): Promise<void> => {
      for (let round = 0; round < 3; round++) {
        const body = Buffer.alloc(20_000 + Math.floor(chance() * 3000), index * 16 + round + 1)
        const draft = await stage.receive(inPieces(body, 9_000))
        const published = await draft.publish()
        draft.release()
        if (published.in === 'file') acknowledged.push({ file: published.file, size: body.length, ...digestsOf(body) })
        const known = acknowledged[Math.floor(chance() * acknowledged.length)]
        if (known === undefined || chance() < 0.5) continue
        const copy = await (await stage.linkDraft(known)).publish()
        if (copy.in === 'file') acknowledged.push({ ...known, file: copy.file })
      }
    }
    await Promise.all([1, 2, 3, 4].map(one))
    return 'done'
  }

  const outcome = await Promise.race([work(), cut.promise])
  return { acknowledged, identity, finished: outcome === 'done', after: after ?? power.afterCut(chance) }
}

/** Opens what is left; the acknowledged bodies that are not what they were. */
async function recover(seed: number, life: Life): Promise<readonly string[]> {
  const random = randomOf(dice(seed + 1))
  const lost: string[] = []
  let disk = life.after
  // Twice: a power cut after a recovery leaves what the recovery left.
  for (let time = 0; time < 2; time++) {
    const directory = await openDirectory({ path: '/data/stage', kind: 'durable', disk, random, clock: stillClock })
    if (life.identity !== undefined && directory.identity !== life.identity) lost.push('identity')
    const stage = openStage({ directory, random, clock: stillClock, maxStageBytes: 1e9, stagedBytes: () => 0 })
    await stage.sweep.all()
    for await (const { body, error } of stage.verifyBodies(life.acknowledged)) lost.push(`${body.file} ${error.rule}`)
    const left = await Array.fromAsync(stage.files('drafts'))
    if (left.length > 0) lost.push('drafts')
    disk = disk.afterCut(dice(seed + 2))
  }
  return lost
}

describe('a power cut', () => {
  test('at any call takes nothing that was published, and the directory opens again (D1, I1, I3, I5, I6)', {
    timeout: 120_000,
  }, async () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
    console.log(`power seed ${seed}`)
    let lives = 0
    let published = 0
    for (let round = 0; round < 2; round++) {
      for (let cutAt = 1, finished = false; !finished; cutAt++) {
        const life = await live(seed + round, cutAt, () => false)
        expect(await recover(seed, life), `seed ${seed + round}, cut at call ${cutAt}`).toEqual([])
        finished = life.finished
        published += life.acknowledged.length
        lives++
      }
    }
    expect(lives).toBeGreaterThan(200)
    expect(published).toBeGreaterThan(500)
  })

  test.each([
    ['the sync of bytes', (call: Call) => call.operation === 'file.sync' && call.path.includes('/drafts/')],
    ['the sync of names', (call: Call) => call.operation === 'syncDirectory' && call.path.endsWith('/bodies')],
    ['the sync of the root', (call: Call) => call.operation === 'syncDirectory' && call.path.endsWith('/stage')],
    ['the sync of its parents', (call: Call) => call.operation === 'syncDirectory' && !call.path.includes('/stage')],
  ])('is found to take something where %s is left out', async (_, broken) => {
    let losses = 0
    for (let seed = 0; seed < 40 && losses === 0; seed++) {
      const life = await live(seed, 60 + seed * 5, broken)
      losses += (await recover(seed, life).catch(() => ['does not open'])).length
    }
    expect(losses).toBeGreaterThan(0)
  })
})
