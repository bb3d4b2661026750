import { HoldfastError } from '../../src/core/errors.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import type { Asked, History } from '../converge/history.ts'
import { acknowledged } from './checks.ts'
import type { DiskFaults } from './disk.ts'
import { soundDisk } from './disk.ts'
import type { DiskMood, Step } from './plan.ts'
import type { Machine, Slot, World } from './world.ts'

/** Makes the steps of the plan happen, each at its time. */
export function begin(world: World, history: History): void {
  for (const step of world.plan.steps) {
    world.scheduler.after(step.at, () => {
      world.scheduler.note(`step ${step.what}`)
      happen(world, history, step)
    })
  }
}

function happen(world: World, history: History, step: Step): void {
  const { scheduler } = world
  if ('slot' in step) {
    const slot = world.slots[step.slot]
    if (slot !== undefined) atSlot(world, history, slot, step)
  } else if (step.what === 'mood') {
    const cloud = world.clouds[step.provider]
    if (cloud === undefined) return
    cloud.mood = step.mood
    scheduler.after(step.ms, () => {
      if (cloud.mood === step.mood) cloud.mood = undefined
    })
  } else {
    const machine = world.machines[step.machine]
    if (machine !== undefined) atMachine(world, machine, step)
  }
}

function atSlot(world: World, history: History, slot: Slot, step: Call): void {
  const { scheduler } = world
  if (step.what === 'kill') {
    slot.kill()
    scheduler.after(step.backMs, slot.up)
  } else if (step.what === 'restart') {
    const { process } = slot
    const up = () => scheduler.after(step.backMs, slot.up)
    slot.close().then(up, up)
    // One that is killed before it has closed comes back all the same.
    scheduler.after(step.backMs + 60_000, () => {
      if (slot.process === process && slot.store === undefined) slot.kill()
      slot.up()
    })
  } else if (step.what === 'stop') slot.process?.stop(step.ms)
  else if (slot.store !== undefined) {
    call(world, history, slot, slot.store, step).catch((error: unknown) => {
      if (!isExpected(error)) world.faults.push(`${step.what} at ${step.at}: ${told(error)} (I47)`)
    })
  }
}

function atMachine(
  { scheduler }: World,
  machine: Machine,
  step: Step & { readonly what: 'power cut' | 'clock' | 'disk' | 'rot' },
): void {
  switch (step.what) {
    case 'power cut':
      for (const slot of machine.slots) {
        slot.kill()
        scheduler.after(step.backMs, slot.up)
      }
      machine.disk.cut()
      return
    case 'clock':
      machine.skewMs += step.byMs
      return
    case 'disk':
      machine.disk.faults = faultsOf[step.mood]
      scheduler.after(step.ms, () => {
        machine.disk.faults = soundDisk
      })
      return
    case 'rot':
      if (machine.disk.rot() !== undefined) machine.isSpoilt = true
  }
}

export const sourceKey = 's/0'
const sourceBody = 'source'.padEnd(20_000, '.')
const sourceAttributes = { contentType: 'text/plain', metadata: { body: 'source' } }

const faultsOf: Readonly<Record<DiskMood, DiskFaults>> = {
  failing: { ...soundDisk, failing: 0.05 },
  unreadable: { ...soundDisk, unreadable: 0.05 },
  busy: { ...soundDisk, busy: 0.3 },
  full: { ...soundDisk, capacity: 0 },
}

type Call = Extract<Step, { readonly slot: number }>

async function call(world: World, history: History, slot: Slot, store: Holdfast, step: Call): Promise<void> {
  const signalOf = (ms: number | undefined): { readonly signal?: AbortSignal } => {
    if (ms === undefined) return {}
    const stop = new AbortController()
    world.scheduler.after(ms, () => stop.abort())
    return { signal: stop.signal }
  }
  switch (step.what) {
    case 'source': {
      const source = { body: sourceBody, ...sourceAttributes }
      const asked = ask(world, history, slot, { key: sourceKey, condition: 'absent', ...source })
      await settle(world, slot, asked, () => store.put(sourceKey, sourceBody, { if: 'absent', ...sourceAttributes }))
      return
    }
    case 'put': {
      const { key, as, size } = step
      const condition = step.isConditional ? await conditionOf(store, key) : undefined
      if (condition === 'nobody knows') return
      const body = step.body.padEnd(size, '.')
      const more = { contentType: 'text/plain', metadata: { body: step.body } }
      const asked = ask(world, history, slot, { key, body, condition, ...more })
      const signal = signalOf(step.abortMs)
      const options = { ...more, ...(condition === undefined ? {} : { if: condition }), ...signal }
      await settle(world, slot, asked, () => {
        if (as === 'upload') return inParts(store, key, Buffer.from(body), more, condition)
        const whole = as === 'bytes' ? body : pieces(Buffer.from(body), as === 'slow stream' ? slot : undefined)
        return store.put(key, whole, options)
      })
      return
    }
    case 'delete': {
      const condition = step.isConditional ? await conditionOf(store, step.key) : undefined
      if (condition === 'nobody knows' || condition === 'absent') return
      const asked = ask(world, history, slot, { key: step.key, body: undefined, condition })
      await settle(world, slot, asked, () => store.delete(step.key, condition === undefined ? {} : { if: condition }))
      return
    }
    case 'get': {
      const knew = history.known(slot.machine.index, step.key)
      const found = await store.get(step.key, signalOf(step.abortMs))
      const body = await found?.text()
      history.seen.push({ node: slot.machine.index, key: step.key, knew, version: found?.info.version, body })
      return
    }
    case 'head':
      await store.head(step.key, signalOf(step.abortMs))
      return
    case 'list':
      for await (const entry of store.list()) {
        const name = entry.type === 'object' ? entry.key : entry.prefix
        if (!/^[ks]\//.test(name)) world.faults.push(`listed ${name}, which nobody wrote (I16)`)
      }
      return
    case 'copy': {
      // Its source is written once: what is copied is known beforehand.
      const source = { body: sourceBody, ...sourceAttributes }
      const asked = ask(world, history, slot, { key: step.key, condition: undefined, ...source })
      await settle(world, slot, asked, () => store.copy(sourceKey, step.key))
      return
    }
    case 'deleteMany':
      await deleteMany(world, history, slot, store, step.prefix)
      return
    case 'reconcile':
      await store.reconcile({ repair: true, confirm: true })
      return
    case 'kill':
    case 'restart':
    case 'stop':
  }
}

async function deleteMany(world: World, history: History, slot: Slot, store: Holdfast, prefix: string): Promise<void> {
  // Which of them it will find, nobody knows beforehand: each is one that may have been deleted.
  const keys = new Set(
    world.plan.steps.flatMap(step => ('key' in step && step.key.startsWith(prefix) ? [step.key] : [])),
  )
  for (const key of keys) ask(world, history, slot, { key, body: undefined, condition: undefined }).state = 'unknown'
  await store.deleteMany({ prefix })
}

async function conditionOf(store: Holdfast, key: string): Promise<Asked['condition'] | 'nobody knows'> {
  try {
    const found = await store.head(key)
    return found === undefined ? 'absent' : { version: found.version }
  } catch (error) {
    if (!isExpected(error)) throw error
    return 'nobody knows'
  }
}

function ask(
  { scheduler }: World,
  history: History,
  slot: Slot,
  what: Partial<Asked> & Pick<Asked, 'key' | 'body' | 'condition'>,
): Asked {
  const asked: Asked = {
    node: slot.machine.index,
    contentType: 'text/plain',
    metadata: {},
    at: scheduler.elapsed,
    state: 'asked',
    ...what,
  }
  history.asked.push(asked)
  return asked
}

async function settle(
  world: World,
  slot: Slot,
  asked: Asked,
  run: () => Promise<{ readonly version: string }>,
): Promise<void> {
  try {
    const receipt = await run()
    asked.version = receipt.version
    asked.state = 'acked'
    acknowledged(world, slot, asked)
  } catch (error) {
    if (!isExpected(error)) throw error
    if (error instanceof HoldfastError) {
      asked.state = error.outcome === 'accepted' ? 'acked' : error.outcome === 'rejected' ? 'refused' : 'unknown'
      if (error.version !== undefined) asked.version = error.version
    } else asked.state = 'unknown'
  } finally {
    asked.until = world.scheduler.elapsed
    world.scheduler.note(`${asked.key} ${asked.body?.slice(0, 20) ?? 'delete'}: ${asked.state} ${asked.version ?? ''}`)
  }
}

async function inParts(
  store: Holdfast,
  key: string,
  body: Buffer,
  options: object,
  condition: Asked['condition'],
): Promise<{ version: string }> {
  const { id } = await store.uploads.create(key, options)
  const half = Math.ceil(body.length / 2)
  const parts = [body.subarray(0, half), body.subarray(half)].filter(({ length }) => length > 0)
  const listed: { number: number; etag: string }[] = []
  for (const [index, part] of parts.entries()) {
    const { etag } = await store.uploads.putPart(id, index + 1, part)
    listed.push({ number: index + 1, etag })
  }
  return store.uploads.complete(id, listed, condition === undefined ? {} : { if: condition })
}

async function* pieces(body: Buffer, slow: Slot | undefined): AsyncIterable<Uint8Array> {
  for (let at = 0; at === 0 || at < body.length; at += 9_000) {
    await slow?.process?.wait(20)
    yield body.subarray(at, at + 9_000)
  }
}

/** What a caller has to reckon with; anything else is a fault of the library. */
export function isExpected(error: unknown): boolean {
  if (error instanceof HoldfastError)
    return error.code !== 'INVALID' || error.field === 'upload' || error.rule === 'absent'
  return error instanceof DOMException && error.name === 'AbortError'
}

function told(error: unknown): string {
  return error instanceof Error ? (error.stack ?? String(error)) : String(error)
}
