import { HoldfastError } from '../../src/core/errors.ts'
import type { History } from '../converge/history.ts'
import { contentOf, isSame } from '../converge/content.ts'
import { restFaults } from './checks.ts'
import { soundDisk } from './disk.ts'
import type { Slot, World } from './world.ts'

const hour = 3_600_000
/** Everything that waits is tried again each hour; what is still there after so many is stuck. */
const mostRounds = 5

/** All faults stop; then everything must come to an end within so much time, and be as it should. */
export async function rest(world: World, history: History): Promise<void> {
  const { scheduler, faults } = world
  for (const cloud of world.clouds) cloud.mood = undefined
  for (const machine of world.machines) machine.disk.faults = soundDisk
  const goOn = Math.max(0, ...world.slots.map(({ process }) => (process?.stoppedUntil ?? 0) - scheduler.elapsed))
  await scheduler.advance(goOn + 30_000)
  await everybodyUp(world)
  if (faults.length > 0) return
  if (!(await drained(world)) || faults.length > 0) return
  const isSound = world.machines.every(({ isSpoilt }) => !isSpoilt)
  if (isSound && world.clouds.every(({ isStrong }) => isStrong)) await compare(world, history, 'drained', 'known')
  await reconcile(world)
  if (faults.length > 0) return
  await compare(world, history, 'at rest', 'all')
  faults.push(...history.faults(), ...world.machines.flatMap(restFaults))
}

/** A directory that was poisoned is left by everybody, and opened again by one after the other. */
async function everybodyUp(world: World): Promise<void> {
  for (const machine of world.machines) {
    if (machine.disk.has('poisoned')) for (const slot of machine.slots) slot.kill()
    for (const slot of machine.slots) {
      slot.up()
      if (!(await world.scheduler.until(() => slot.store !== undefined, 600_000)))
        world.faults.push(`process ${slot.index} cannot open its directory (I6)`)
    }
  }
}

async function drained(world: World): Promise<boolean> {
  let why = ''
  for (let round = 0; round < mostRounds; round++) {
    const drains = world.slots.map(async ({ store }) => store?.drain({ until: 'verified' }))
    const results = await world.turn(Promise.allSettled(drains), 'draining', 2 * hour)
    if (results === undefined) return false
    const failed = results.find(result => result.status === 'rejected')
    if (failed === undefined) return true
    why = String(failed.reason)
    await settleSpoilt(world)
    // What is blocked is tried again each hour.
    await world.scheduler.advance(hour + 60_000)
  }
  world.faults.push(`not at rest after ${mostRounds} hours: ${why} (I33)`)
  return false
}

/** What was spoilt on local disk before any provider had it is lost, and a person says so. */
async function settleSpoilt(world: World): Promise<void> {
  for (const { store, machine } of world.slots) {
    if (!machine.isSpoilt || store === undefined) continue
    const work = store.blocked.abandon({ reason: 'LOCAL_CORRUPT' }, { why: 'the disk was bad', lastCopy: true })
    await world.turn(work, 'abandoning', hour)
  }
}

async function reconcile(world: World): Promise<void> {
  const { store } = world.slots[0] as Slot
  if (store === undefined) return
  const found = await world.turn(store.reconcile({ repair: true, confirm: true }), 'reconcile', hour)
  if (found === undefined || !(await drained(world))) return
  const after = await world.turn(store.reconcile(), 'the second reconcile', hour)
  if (after === undefined) return
  const { missing, different, foreign, deleted, unknown } = after
  const left = missing + different + foreign + deleted
  if (left + found.unknown + found.impossible + unknown > 0)
    world.faults.push(
      `reconcile leaves ${left} differences, ${found.unknown + unknown} unknown, ${found.impossible} impossible ${found.guard?.message ?? ''} (I10)`,
    )
}

/** Every service has exactly the newest acknowledged write of every key, or nothing where that is a delete; and so says every process. */
async function compare(world: World, history: History, when: string, which: 'all' | 'known'): Promise<void> {
  const spoilt = world.machines.some(({ isSpoilt }) => isSpoilt)
  for (const [key, { newest, perhaps }] of history.expected()) {
    // A conditional write of which nobody knew may be at the primary alone: that is for reconcile to find.
    if (which === 'known' && perhaps.length > 0) continue
    const found = await Promise.all(world.clouds.map(({ service }) => contentOf(service, key)))
    const texts = new Set(found.map(content => JSON.stringify(content)))
    if (texts.size > 1)
      world.faults.push(`${key} ${when}: providers differ (I10): ${shortened([...texts].join(' and '))}`)
    const [first] = found
    const wrote = history.asked.filter(each => each.key === key)
    // What was spoilt may be lost, but what is there must be what somebody wrote.
    const candidates = spoilt ? [undefined, ...wrote] : [newest, ...perhaps]
    if (!candidates.some(each => isSame(first, each)))
      world.faults.push(
        `${key} ${when}: has ${first?.version ?? 'nothing'} (${shortened(first?.body ?? '')}), newest acknowledged is ${newest?.version ?? 'none'} ${shortened(newest?.body ?? 'deleted')} (I1, I10, I12, I13)`,
      )
    for (const slot of world.slots) {
      const what = await readable(world, slot, key)
      const there = first === undefined ? 'nothing' : `${first.version} ${first.body}`
      if (what !== there)
        world.faults.push(
          `${key} ${when}: process ${slot.index} reads ${shortened(what)}, providers have ${shortened(there)} (I25, I27)`,
        )
    }
  }
}

/** What a process says of a key. Where nobody could answer, as a process that stood still for a minute may find, it asks again as a caller would. */
async function readable(world: World, { store }: Slot, key: string): Promise<string> {
  for (let tries = 1; ; tries++) {
    try {
      const read = await world.turn(Promise.resolve(store?.get(key)), `read of ${key}`, 300_000)
      if (read === undefined) return 'nothing'
      const text = await world.turn(read.text(), `the body of ${key}`, 300_000)
      return `${read.info.version} ${text}`
    } catch (error) {
      const mayBeAskedAgain = error instanceof HoldfastError && error.code === 'UNAVAILABLE' && tries < 4
      if (!mayBeAskedAgain) return String(error)
      await world.scheduler.advance(2_000)
    }
  }
}

function shortened(text: string): string {
  return text.replaceAll(/\.{20,}/g, '…')
}
