import { HoldfastError } from '../../src/core/errors.ts'
import { seededRandom } from '../../src/testing/clock.ts'
import { contentOf, isSame } from './content.ts'
import { type Asked, History } from './history.ts'
import { holdMs, type Node, openWorld, type World, type WorldOptions } from './world.ts'

/** When the app acts and services fail, by the world's clock; before it, everybody meets everybody. */
const fromMs = 10_000
const toMs = 130_000
const keysOfRun = 3
const stepMs = 1_000

/** What one batch of runs did. */
export interface Outcome {
  readonly writes: number
  readonly acked: number
  readonly unknown: number
  readonly refused: number
  readonly reads: number
  readonly requests: number
  /** Differences that a reconcile found after quiescence. */
  readonly drift: number
  /** What must not have happened, in words. */
  readonly faults: readonly string[]
  readonly description: string
  /** All that happened to the first key of which something is wrong. */
  readonly story: readonly string[]
}

export interface Batch extends Partial<Omit<WorldOptions, 'seed' | 'fromMs' | 'toMs'>> {
  readonly seed: number
  /** Runs that share the world; each has keys of its own. */
  readonly runs: number
  /** Calls of one run at most; about two thirds of it on the average. Default 11. */
  readonly calls?: number
}

/** The runs of one seed in one world: random calls while services fail, then rest, then one reconcile, then everything is compared. */
export async function converge({ seed, runs, calls = 11, ...more }: Batch): Promise<Outcome> {
  await using world = await openWorld({ seed, fromMs, toMs, ...more })
  const history = new History()
  await act(world, history, { seed, runs, calls })
  const stuck = await rest(world)
  const before = stuck === undefined && world.isStrong ? await compare(world, history, 'before reconcile', 'known') : []
  const { drift, ...mended } = stuck === undefined ? await reconcile(world) : { drift: 0, stuck }
  const faults = [mended.stuck ?? [], before, history.faults()].flat()
  if (stuck === undefined) {
    faults.push(...(await compare(world, history, 'at rest')))
    await world.clock.advance(holdMs + 60_000)
    faults.push(...(await compare(world, history, 'later')))
  }
  const count = (state: Asked['state']) => history.asked.filter(each => each.state === state).length
  return {
    writes: history.asked.length,
    acked: count('acked'),
    unknown: count('unknown'),
    refused: count('refused'),
    reads: history.seen.length,
    requests: world.calls().length,
    drift,
    faults,
    description: world.description,
    story: faults.length === 0 ? [] : storyOf(world, history, /\d+\/\d/.exec(faults[0] ?? '')?.[0]),
  }
}

function storyOf(world: World, history: History, key: string | undefined): string[] {
  if (key === undefined) return []
  const asked = history.asked
    .filter(each => each.key === key)
    .map(({ node, body, condition, at, until, state, version }) => ({
      at,
      text: `node ${node} ${body === undefined ? 'delete' : `put ${body}`} if ${JSON.stringify(condition)}: ${state} ${version} after ${(until ?? at) - at} ms`,
    }))
  const calls = world
    .calls()
    .filter(call => call.key === key || call.key === `.holdfast/deleted/${key}`)
    .map(({ at, provider, operation, key: of, fault, state, conditional }) => ({
      at,
      text: `  ${provider} ${operation}${of === key ? '' : ' marker'}${conditional ? ' if' : ''} ${fault ?? ''} ${state}`,
    }))
  return [...asked, ...calls].toSorted((a, b) => a.at - b.at).map(({ at, text }) => `${at} ${text}`)
}

/** All calls of all runs, each at its time. */
async function act(
  world: World,
  history: History,
  { seed, runs, calls: most }: Required<Pick<Batch, 'seed' | 'runs' | 'calls'>>,
): Promise<void> {
  const due: { readonly at: number; readonly call: () => Promise<void> }[] = []
  for (let run = 0; run < runs; run++) {
    const random = seededRandom(seed * 1000 + run)
    const pick = (below: number) => Math.floor(random.number() * below)
    const key = () => `${run}/${pick(keysOfRun)}`
    const calls = Math.ceil(most / 3) + pick(Math.floor((2 * most) / 3) + 1)
    // Some runs are a scuffle of seconds, some take all the time.
    const span = random.number() < 0.3 ? 5_000 : toMs - fromMs
    const begin = fromMs + random.number() * (toMs - fromMs - span)
    for (let call = 0; call < calls; call++) {
      const node = world.nodes[pick(world.nodes.length)] as Node
      const name = `${seed}.${run}.${call}`
      due.push({ at: begin + random.number() * span, call: someCall(history, node, key(), name, random.number) })
    }
  }
  const random = seededRandom(seed)
  for (const node of world.nodes) {
    if (random.number() < 0.5) continue
    const at = fromMs + random.number() * (toMs - fromMs) * 0.8
    due.push({ at, call: () => node.down() }, { at: at + random.number() * 20_000, call: () => node.up() })
  }
  due.sort((a, b) => a.at - b.at)
  const running: Promise<void>[] = []
  for (const { at, call } of due) {
    const wait = Math.floor(at / stepMs) * stepMs - world.clock.monotonic()
    if (wait > 0) await world.clock.advance(wait)
    running.push(call())
  }
  let isOver = false
  const all = Promise.all(running).finally(() => (isOver = true))
  all.catch(() => {})
  while (!isOver) await world.clock.advance(5 * stepMs)
  await all
  for (const node of world.nodes) if (node.store === undefined) await node.up()
}

/** One thing that the app does, decided now. */
function someCall(history: History, node: Node, key: string, name: string, number: () => number): () => Promise<void> {
  const kind = number()
  const isConditional = number() < 0.25
  // The same bytes again and again: what a digest for a token cannot tell apart.
  const body = number() < 0.2 ? 'the same' : `body of ${name}`
  const contentType = number() < 0.5 ? 'text/plain' : 'application/x-run'
  const metadata: Record<string, string> = number() < 0.5 ? {} : { call: name }
  if (kind < 0.3) return () => read(history, node, key)
  const what = { node: node.name, key, contentType, metadata, body: kind < 0.75 ? body : undefined }
  return async () => {
    if (node.store === undefined) return
    if (!isConditional)
      return await write(history, node, { ...what, condition: undefined, at: node.now(), state: 'asked' })
    const found = await node.store.head(key).catch(() => 'nobody knows' as const)
    if (found === 'nobody knows' || (found === undefined && what.body === undefined)) return
    const condition = found === undefined ? ('absent' as const) : { version: found.version }
    await write(history, node, { ...what, condition, at: node.now(), state: 'asked' })
  }
}

async function write(history: History, { store, now }: Node, asked: Asked): Promise<void> {
  if (store === undefined) return
  history.asked.push(asked)
  const { key, body, condition, contentType, metadata } = asked
  const ifSo = condition === undefined ? {} : { if: condition }
  try {
    const receipt =
      body === undefined
        ? await store.delete(key, condition === 'absent' || condition === undefined ? {} : { if: condition })
        : await store.put(key, body, { contentType, metadata, ...ifSo })
    asked.version = receipt.version
    asked.state = 'acked'
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    asked.state = error.outcome === 'rejected' ? 'refused' : error.outcome === 'accepted' ? 'acked' : 'unknown'
    if (error.version !== undefined) asked.version = error.version
    if (error.outcome === undefined) throw error
  } finally {
    asked.until = now()
  }
}

async function read(history: History, node: Node, key: string): Promise<void> {
  const { store, name } = node
  if (store === undefined) return
  const knew = history.known(name, key)
  try {
    const found = await store.get(key)
    const body = await found?.text()
    history.seen.push({ node: name, key, knew, version: found?.info.version, body })
  } catch (error) {
    // That nobody can tell is an answer too, and so is that the node goes down.
    if (!(error instanceof HoldfastError) || (error.code !== 'UNAVAILABLE' && error.code !== 'CLOSED')) throw error
  }
}

/** Until nothing is on its way any more: late requests have come, everything was looked at twice. Answers what stays stuck. */
async function rest(world: World): Promise<string | undefined> {
  await world.clock.advance(60_000)
  let why = ''
  for (let round = 0; round < 4; round++) {
    const drains = Promise.allSettled(world.nodes.map(async ({ store }) => store?.drain({ until: 'verified' })))
    let results: PromiseSettledResult<void>[] | undefined
    drains.then(
      settled => (results = settled),
      () => {},
    )
    for (let waited = 0; results === undefined && waited < 3_600_000; waited += 5_000) await world.clock.advance(5_000)
    const failed = results?.find(result => result.status === 'rejected')
    if (results !== undefined && failed === undefined) return undefined
    why = failed === undefined ? 'draining does not end' : String(failed.reason)
    if (results === undefined) break
    // What is blocked is tried again each hour.
    await world.clock.advance(3_700_000)
  }
  return `not at rest: ${why}`
}

/** One node makes all equal, and looks that they are. Answers how many differences there were. */
async function reconcile(world: World): Promise<{ drift: number; stuck: string | undefined }> {
  const [{ store }] = world.nodes as [Node]
  const { guard, queued, unknown, impossible } = await turning(world, store?.reconcile({ repair: true, confirm: true }))
  const stuck = await rest(world)
  if (stuck !== undefined) return { drift: queued, stuck }
  const { missing, different, foreign, deleted, ...after } = await turning(world, store?.reconcile())
  const left = missing + different + foreign + deleted
  const isClean = unknown + impossible + left + after.unknown === 0
  const words = `reconcile left ${left} differences, ${unknown + after.unknown} unknown, ${impossible} impossible ${guard?.message ?? ''}`
  return { drift: queued, stuck: isClean ? undefined : words }
}

/** Turns the clock until it is done. */
async function turning<T>(world: World, work: PromiseLike<T> | undefined): Promise<T> {
  let isOver = false
  const settle = () => {
    isOver = true
  }
  if (work === undefined) throw new Error('the node is down')
  const done = Promise.resolve(work)
  done.then(settle, settle)
  while (!isOver) await world.clock.advance(stepMs)
  return done
}

/** Every service has exactly the newest acknowledged write of every key, or nothing where that is a delete; and so says every node. */
async function compare(
  world: World,
  history: History,
  when: string,
  which: 'all' | 'known' = 'all',
): Promise<string[]> {
  const faults: string[] = []
  for (const [key, { newest, perhaps }] of history.expected()) {
    // A conditional write of which nobody knew may be at the primary alone: that is for reconcile to find.
    if (which === 'known' && perhaps.length > 0) continue
    const found = await Promise.all(world.services.map(service => contentOf(service, key)))
    const texts = new Set(found.map(content => JSON.stringify(content)))
    if (texts.size > 1) faults.push(`${key} ${when}: providers differ (I10): ${[...texts].join(' and ')}`)
    const [first] = found
    const candidates = [newest, ...perhaps]
    const isThere = candidates.some(each => isSame(first, each))
    if (!isThere)
      faults.push(
        `${key} ${when}: has ${first?.version ?? 'nothing'} (${first?.body ?? ''}), newest acknowledged is ${newest?.version ?? 'none'} ${newest?.body ?? 'deleted'} (I10, I12, I13)`,
      )
    for (const node of world.nodes) {
      const what = await readable(node, key)
      const there = first === undefined ? 'nothing' : `${first.version} ${first.body}`
      if (what !== there) faults.push(`${key} ${when}: node ${node.name} reads ${what}, providers have ${there} (I25)`)
    }
  }
  return faults
}

/** What a node says of a key, as text. */
async function readable({ store }: Node, key: string): Promise<string> {
  try {
    const read = await store?.get(key)
    return read === undefined ? 'nothing' : `${read.info.version} ${await read.text()}`
  } catch (error) {
    return String(error)
  }
}
