import { crc32c } from '../../src/core/digest.ts'
import type { WriteRow } from '../../src/journal/contract.ts'
import { leastHeldMs } from '../../src/replicate/housekeeping.ts'
import type { Asked, History } from '../converge/history.ts'
import type { Effect } from './cloud.ts'
import type { Machine, Slot, World } from './world.ts'

/** Looks at everything that changes, at the moment at which it does; what must not be becomes a fault of the world. */
export function watch(world: World, history: History): void {
  for (const cloud of world.clouds) {
    cloud.onEffect = effect => {
      world.scheduler.note(`${cloud.name} ${effect.kind} ${effect.key} ${effect.before ?? ''} > ${effect.after ?? ''}`)
      if (effect.key.startsWith('.holdfast/')) return
      world.faults.push(...effectFaults(effect, history, cloud.isStrong).map(fault => `${cloud.name}: ${fault}`))
    }
  }
  for (const machine of world.machines) {
    machine.disk.onUnlink = file => world.faults.push(...unlinkFaults(machine, file))
    machine.journal.onChange = (process, op, args, looking) => {
      if (op !== 'release') return
      for (const { seq } of args[1] as readonly { readonly seq: number }[]) {
        const row = looking.write(seq)
        if (row === undefined) continue
        for (const fault of releaseFaults(world, history, row, process.clock.now())) world.faults.push(fault)
      }
    }
  }
}

function effectFaults({ kind, key, before, after }: Effect, history: History, isStrong: boolean): string[] {
  const asked = history.asked.filter(each => each.key === key)
  if (asked.length === 0) return [`${kind} of ${key}, which nobody asked for (I16)`]
  if (kind === 'put') {
    // Lost answers may put the same write again.
    if (isStrong && before !== undefined && after !== undefined && after < before)
      return [`${key} went back from ${before} to ${after} (I12)`]
    return []
  }
  if (before === undefined) return []
  const mayBeMeant = ({ state, version = '~' }: Asked) => state !== 'refused' && version > before
  // An older one that comes late, at a service that cannot tell, removes what it may; reads and repairs put it right.
  const isMeant = asked.some(each => each.body === undefined && (mayBeMeant(each) || !isStrong))
  return isMeant ? [] : [`${key} of ${before} was deleted, and nobody asked for that (I14)`]
}

/** A body goes only after its row went. */
function unlinkFaults({ journal, index }: Machine, file: string): string[] {
  const faults: string[] = []
  for (
    let page = journal.looking.withBodies(0);
    page.length > 0;
    page = journal.looking.withBodies(page.at(-1)?.seq ?? 0)
  )
    for (const { seq, body } of page) {
      const isOf =
        (body.in === 'file' && body.file === file) ||
        (body.in === 'parts' && body.parts.some(part => part.file === file))
      if (isOf) faults.push(`machine ${index}: the body of write ${seq} goes, which is not finished (I19, I21)`)
    }
  return faults
}

/** What is released has been looked at twice everywhere, and is there, or something newer. */
function releaseFaults(world: World, history: History, row: WriteRow, now: number): string[] {
  const { key, version, kind, replicas } = row
  const faults: string[] = []
  const where = `release of ${key} ${version}`
  const isTimed = !world.plan.steps.some(({ what }) => what === 'clock')
  for (const { provider, state, storedAt } of replicas) {
    const cloud = world.clouds[provider - 1]
    if (state === 'superseded' || state === 'abandoned' || cloud === undefined) continue
    if (state !== 'verified') faults.push(`${where}: ${cloud.name} is ${state} (I18)`)
    if (isTimed && storedAt !== undefined && now - storedAt < Math.min(world.plan.store.holdMs, leastHeldMs))
      faults.push(`${where}: ${cloud.name} stored it ${now - storedAt} ms ago (I18)`)
    if (!cloud.isStrong) continue
    const visible = cloud.visible.get(key)
    const isGone = history.asked.some(
      each => each.key === key && each.body === undefined && (each.version ?? '~') > version,
    )
    if (kind === 'put' && (visible ?? '') < version && !isGone)
      faults.push(`${where}: ${cloud.name} has ${visible ?? 'nothing'} (I18)`)
    if (kind === 'delete' && visible !== undefined && visible < version)
      faults.push(`${where}: ${cloud.name} still has ${visible} (I13, I18)`)
  }
  return faults
}

/** What a caller was just promised would be there, if the power went now. */
export function acknowledged(world: World, slot: Slot, { key, version, body }: Asked): void {
  const { machine } = slot
  if (machine.isSpoilt) return
  const { open, deleted } = machine.journal.looking.view(key)
  // A newer one may have come, or all providers have it already.
  if (open === undefined || open.version !== version) {
    if (body === undefined && deleted === undefined && open === undefined)
      world.faults.push(`${key} ${version}: acknowledged, and the journal knows of no delete (I1)`)
    return
  }
  for (const file of filesOf(open))
    if (!machine.disk.isDurable(file))
      world.faults.push(`${key} ${version}: acknowledged, and ${file} would not survive a power cut (I1, I5)`)
  if (body !== undefined && open.crc32c !== crcOf(body))
    world.faults.push(`${key} ${version}: acknowledged with another body (I1)`)
}

function filesOf({ body }: WriteRow): readonly string[] {
  if (body.in === 'file') return [body.file]
  return body.in === 'parts' ? body.parts.map(({ file }) => file) : []
}

function crcOf(text: string): string {
  return crc32c(Buffer.from(text), 0).toString(16).padStart(8, '0')
}

/** At rest: what is on disk is what the journal knows, and the counters are what a count finds. */
export function restFaults({ journal, disk, index }: Machine): string[] {
  const { looking } = journal
  const needed = new Set<string>()
  for (
    let page: readonly WriteRow[] = looking.withBodies(0);
    page.length > 0;
    page = looking.withBodies(page.at(-1)?.seq ?? 0)
  )
    for (const row of page) for (const file of filesOf(row)) needed.add(file)
  const lost = [...needed].filter(file => !disk.bodies.has(file))
  const faults = lost.map(file => `machine ${index}: ${file} is in the journal and not on disk (I5)`)
  const { accepted, done, superseded, groups } = looking.counts()
  const open = groups.filter(({ origin, state }) => origin === 'app' && state === 'open')
  const left = open.reduce((sum, { writes }) => sum + writes, 0)
  if (accepted !== done + superseded + left)
    faults.push(`machine ${index}: ${accepted} accepted, ${done} done, ${superseded} superseded, ${left} open (I9)`)
  return faults
}
