import type { Clock } from '../../src/core/ports.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openWith } from '../../src/holdfast/open.ts'
import { openDirectory } from '../../src/stage/directory.ts'
import { type Cloud, startCloud } from './cloud.ts'
import { type MachineDisk, machineDisk } from './disk.ts'
import { type MachineJournal, machineJournal } from './journal.ts'
import { type Process, startProcess } from './machine.ts'
import type { Plan } from './plan.ts'
import { type Scheduler, scheduler } from './scheduler.ts'

/** A machine with a disk, a clock and processes that share a directory. */
export interface Machine {
  readonly index: number
  readonly disk: MachineDisk
  readonly journal: MachineJournal
  skewMs: number
  readonly slots: Slot[]
  /** Something on its disk was spoilt on purpose. */
  isSpoilt: boolean
}

/** The place of a process: it ends, and another one comes. */
export interface Slot {
  readonly index: number
  readonly machine: Machine
  process: Process | undefined
  store: Holdfast | undefined
  /** Opens the directory. A poisoned one may still be in use by others: then it is tried again. */
  up(): void
  /** It ends between two instructions. */
  kill(): void
  /** It closes its store, and ends. */
  close(): Promise<void>
}

export interface World {
  readonly plan: Plan
  readonly scheduler: Scheduler
  readonly clouds: readonly Cloud[]
  readonly machines: readonly Machine[]
  readonly slots: readonly Slot[]
  /** What must not have happened, in words. */
  readonly faults: string[]
  /** Lets time pass until it is settled; a fault and `undefined` where it takes longer than so many ms. */
  turn<T>(work: PromiseLike<T>, what: string, mostMs: number): Promise<T | undefined>
  end(): void
}

/** Names of directories, one for each life: the library keeps a directory that it has open from being opened twice. */
let lives = 0

export async function openWorld(plan: Plan, keepsTrace = false): Promise<World> {
  const events = scheduler({ seed: plan.seed, keepsTrace })
  const faults: string[] = []
  const worldClock: Clock = startProcess({ name: 'world', scheduler: events, skewMs: () => 0, seed: 0 }).clock
  const clouds = plan.providers.map((each, index) =>
    startCloud({ name: `p${index}`, plan: each, scheduler: events, clock: worldClock }),
  )
  const broken = (error: unknown) => {
    faults.push(`the journal threw ${error instanceof Error ? (error.stack ?? '') : String(error)}`)
  }
  const template = plan.isNew ? undefined : await usedDirectory()
  const machines: Machine[] = []
  for (const [index, { skewMs }] of plan.machines.entries()) {
    const disk = template?.disk.clone(events, `disk ${index}`) ?? machineDisk(events, `disk ${index}`)
    disk.lies = plan.breaks
    const identity = template?.identity ?? ''
    machines.push({
      index,
      disk,
      journal: machineJournal({ engine: plan.engine, scheduler: events, disk, directory: identity, broken }),
      skewMs,
      slots: [],
      isSpoilt: false,
    })
  }
  const slots = plan.machines.flatMap(({ processes }, index) =>
    Array.from({ length: processes }, () => machines[index] as Machine),
  )
  const world: World = {
    plan,
    scheduler: events,
    clouds,
    machines,
    slots: slots.map((machine, index) => slotOf(machine, index)),
    faults,
    async turn(work, what, mostMs) {
      let outcome: { readonly value: Awaited<typeof work> } | { readonly error: unknown } | undefined
      Promise.resolve(work).then(
        value => (outcome = { value }),
        (error: unknown) => (outcome = { error }),
      )
      if (!(await events.until(() => outcome !== undefined, mostMs))) {
        faults.push(`${what} does not end within ${mostMs / 1000} s (I33)`)
        return undefined
      }
      const settled = outcome as NonNullable<typeof outcome>
      if ('error' in settled) throw settled.error
      return settled.value
    },
    end() {
      for (const { journal } of machines) journal.close()
    },
  }

  function slotOf(machine: Machine, index: number): Slot {
    let life = 0
    const slot: Slot = {
      index,
      machine,
      process: undefined,
      store: undefined,
      up() {
        if (slot.process !== undefined) return
        const name = `m${machine.index}.${index}.${life++}`
        const process = startProcess({
          name,
          scheduler: events,
          skewMs: () => machine.skewMs,
          seed: plan.seed * 31 + index * 7 + life,
        })
        slot.process = process
        const [primary, secondary, ...mirrors] = clouds.map(cloud => cloud.reachedBy(process))
        if (primary === undefined || secondary === undefined) throw new Error('a store has two providers')
        const { hedge, scrub, ...options } = plan.store
        const opening = openWith(
          {
            directory: `/p${lives++}/stage`,
            primary,
            secondary,
            mirrors,
            ...options,
            reads: { hedge },
            ...(scrub ? { scrub: { objectsPerDay: 10_000 } } : {}),
          },
          {
            disk: machine.disk.of(process),
            clock: process.clock,
            random: process.random,
            openJournal: machine.journal.openFor(process),
          },
        )
        opening.then(
          store => {
            if (slot.process !== process) return
            events.note(`${name} is up`)
            slot.store = store
          },
          (error: unknown) => {
            events.note(`${name} cannot open: ${String(error)}`)
            if (slot.process !== process) return
            slot.kill()
            events.after(2_000, slot.up)
          },
        )
      },
      kill() {
        const { process } = slot
        if (process === undefined) return
        events.note(`${process.name} is killed`)
        process.kill()
        machine.journal.died(process)
        slot.process = undefined
        slot.store = undefined
      },
      async close() {
        const { process, store } = slot
        slot.store = undefined
        await store?.close()
        if (slot.process === process) slot.kill()
      },
    }
    machine.slots.push(slot)
    return slot
  }
  return world
}

interface UsedDirectory {
  readonly disk: MachineDisk
  readonly identity: string
}

let used: Promise<UsedDirectory> | undefined

/** A directory that was opened once: what that costs is paid once, too. */
function usedDirectory(): Promise<UsedDirectory> {
  used ??= (async () => {
    const events = scheduler({ seed: 1 })
    const process = startProcess({ name: 'm.first', scheduler: events, skewMs: () => 0, seed: 1 })
    const disk = machineDisk(events, 'first')
    let identity: string | undefined
    openDirectory({
      path: '/first/stage',
      kind: 'durable',
      disk: disk.of(process),
      random: process.random,
      clock: process.clock,
    }).then(
      directory => (identity = directory.identity),
      (error: unknown) => events.note(String(error)),
    )
    await events.until(() => identity !== undefined, 60_000)
    if (identity === undefined) throw new Error(`no directory: ${events.trace.lines.join('\n')}`)
    return { disk, identity }
  })()
  return used
}
