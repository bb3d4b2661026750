import { expect } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import { checkDirectory } from '../support/directory.ts'
import type { Scenario } from './scenarios.ts'
import type { Fault, Port } from './trap.ts'
import { World } from './world.ts'

/** What happens to the process after the fault. `goes on`: it lives on, drains and closes. `dropped`: it is gone at once, and its directory is opened anew. */
export type Ending = 'goes on' | 'dropped'

export interface Outcome {
  /** Calls that could have failed. */
  readonly counted: number
  readonly sprung: readonly string[]
  /** What must not have happened. */
  readonly faults: readonly string[]
  /** What was called while calls could fail, and what the app was told. */
  readonly story: readonly string[]
}

/** Longer than what is done takes while one call fails. */
const stuckMs = 30 * 60_000

const strays: unknown[] = []
process.on('unhandledRejection', error => strays.push(error))

/** One run: the scenario with these calls failing, and all that has to be true afterwards. */
export async function once(scenario: Scenario, fault: Fault, ending: Ending): Promise<Outcome> {
  await using world = await World.make(fault, scenario.options ?? {}, scenario.services ?? 2)
  const { app } = world
  try {
    await world.open()
    await scenario.before?.(world)
    if (app.faults.length > 0) return outcome(world)
    const isAlive = await act(world, scenario)
    if (ending === 'dropped') {
      if (isAlive) await world.drop()
    } else if (isAlive) await goOn(world, fault)
    await recovered(world, scenario)
  } catch (error) {
    world.faults.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
    await world.close().catch(() => {})
  }
  // What nobody waited for is heard of a turn later.
  await new Promise(resolve => setImmediate(resolve))
  for (const stray of strays.splice(0))
    world.faults.push(`unhandled: ${stray instanceof Error ? stray.stack : String(stray)} (I47)`)
  return outcome(world)
}

function outcome(world: World): Outcome {
  const { counted, sprung } = world.disarm()
  const calls = world.trap.calls.map((call, index) => `${index + 1} ${call}`)
  return { counted, sprung, faults: [...world.app.faults, ...world.faults], story: [...calls, ...world.app.told] }
}

/** Answers whether a store is open afterwards. */
async function act(world: World, scenario: Scenario): Promise<boolean> {
  const { app } = world
  world.arm()
  if (scenario.opens === true) {
    try {
      await world.open()
    } catch (error) {
      if (!(error instanceof HoldfastError)) world.faults.push(`opening rejected with ${(error as Error).stack} (I47)`)
      world.disarm()
      return false
    }
  }
  const work = scenario.act(app, world)
  // Who waits for room, or for a provider, may wait for as long as there is none: then all is well again, and it goes on.
  const isStuck = await world.drive(work, scenario.name, stuckMs).then(
    () => false,
    () => true,
  )
  if (isStuck) world.disarm()
  await world.drive(work, scenario.name)
  await world.clock.advance(scenario.passMs ?? 0)
  world.disarm()
  return true
}

/** The same process, all faults over: it takes writes again and drains, unless its disk or its journal failed for good. */
async function goOn(world: World, { port, kind }: Fault): Promise<void> {
  const { app } = world
  const status = await world.drive(app.store.status(), 'status').catch((error: unknown) => error)
  const isClosed = status instanceof HoldfastError && status.code === 'CLOSED'
  const isOver = isClosed || (port === 'journal' && (kind.startsWith('poisoned') || kind === 'ended'))
  const isPoisoned =
    typeof status === 'object' &&
    status !== null &&
    'stage' in status &&
    (status.stage as { journal: string }).journal === 'poisoned'
  if (!isOver && !isPoisoned) {
    await app.put('afterwards', new Uint8Array(20_000))
    if (app.mayBe('afterwards').length !== 1 || app.mayBe('afterwards')[0] === 'absent')
      world.faults.push(`nothing is taken although all faults are over: ${app.told.at(-1)}`)
    await world.drive(endUploads(world), 'ending uploads')
    if (world.replicates) await world.drain()
  }
  await world.close()
  // What the scenario damaged itself is put right by the process that comes after.
  if (!world.isDamaged || !(isOver || isPoisoned)) await checkDirectory(world.path, { orphans: 'allowed' })
}

/** A process with healthy ports: everything acknowledged is there, it drains to all providers, and nothing is left over. */
async function recovered(world: World, scenario: Scenario): Promise<void> {
  const { app } = world
  await world.open()
  for (const key of app.may.keys()) await world.drive(app.get(key), `get ${key}`)
  await world.drive(checkUploads(world), 'looking at uploads')
  await world.drive(endUploads(world), 'ending uploads')
  if (scenario.resumes === true) await world.drive(scenario.act(app, world), `${scenario.name} again`)
  await world.drain()
  // Refused writes stay for a minute, for whoever waits for them.
  await world.clock.advance(120_000)
  await everywhere(world)
  await world.drive(app.list(), 'list')
  for (const key of app.may.keys()) await world.drive(app.get(key), `get ${key}`)
  const status = await app.store.status()
  const { pending, held, blocked, repairs, stage } = status
  const left = [pending, held, blocked, repairs].reduce((sum, { writes }) => sum + writes, stage.bytes)
  if (left !== 0) world.faults.push(`not drained: ${JSON.stringify(status)} (I33)`)
  if (status.accepted !== status.done + status.superseded) world.faults.push(`counters: ${JSON.stringify(status)} (I9)`)
  if ((await world.leftovers()).length > 0) {
    // What a dead process left goes when it is old, and was looked at twice.
    await world.close()
    await world.clock.advance(2.5 * 3_600_000)
    await world.open()
    await world.clock.advance(25 * 60_000)
  }
  await world.close()
  const leftovers = await world.leftovers()
  if (leftovers.length > 0) world.faults.push(`left over: ${leftovers.join(', ')} (I20)`)
  await checkDirectory(world.path)
}

async function everywhere(world: World): Promise<void> {
  const { app, services, faults } = world
  for (const key of app.may.keys()) {
    const found = await Promise.all(services.map(service => world.contentAt(service, key)))
    for (const [index, content] of found.entries()) app.demand(key, content, `at ${services[index]?.name}`)
    if (new Set(found).size > 1) faults.push(`${key} is not the same everywhere: ${found.join(', ')} (I10)`)
  }
}

/** Every part that was acknowledged is there, while its upload is open (I1). */
async function checkUploads({ app, faults }: World): Promise<void> {
  for (const [id, upload] of app.uploads) {
    if (upload.isOver) continue
    const found = await app.store.uploads.get(id)
    for (const [number, bytes] of upload.parts) {
      const part = found?.parts.find(each => each.number === number)
      const { md5 } = digestsOf(bytes)
      if (part?.etag !== md5)
        faults.push(`part ${number} of the upload of ${upload.key} is ${part?.etag}, it was ${md5} (I1)`)
    }
  }
}

async function endUploads({ app }: World): Promise<void> {
  for (const { id } of await app.store.uploads.list()) await app.abort(id)
}

export interface LoopOptions {
  readonly ending: Ending
  /** So many Ns at most, spread over all; which, says the seed. Default all. */
  readonly most?: number
  readonly seed?: number
  /** After each N also so many pairs: N and the next one, N and the one after that … Default 0. */
  readonly pairs?: number
}

export interface Enumerated {
  /** In a pass in which nothing failed. */
  readonly calls: number
  readonly runs: number
}

/** N = 1, 2, 3 … until nothing is left to fail. Rejects with all that went wrong, each with its N. */
export async function enumerate(
  scenario: Scenario,
  port: Port,
  kind: string,
  options: LoopOptions,
): Promise<Enumerated> {
  const { ending, most = Number.POSITIVE_INFINITY, seed = 0, pairs = 0 } = options
  const failures: string[] = []
  let runs = 0
  const run = async (at: readonly number[]) => {
    const found = await once(scenario, { port, kind, at }, ending)
    runs++
    failures.push(...found.faults.map(fault => `N=${at.join(',')} (${found.sprung.join(', ') || 'none'}): ${fault}`))
    return found
  }
  const { counted } = await run([])
  const every = Math.max(1, Math.ceil(counted / most))
  for (let n = 1 + (seed % every), isOver = false; !isOver && failures.length < 20; n += every) {
    // With some fault the way is another, and longer: then there is more to fail than in the pass without.
    isOver = (await run([n])).sprung.length === 0 || (every > 1 && n + every > counted)
    for (let more = 1; more <= pairs && !isOver; more++) await run([n, n + more])
  }
  expect(failures, `${scenario.name}, ${port}: ${kind}, ${ending}`).toEqual([])
  return { calls: counted, runs }
}
