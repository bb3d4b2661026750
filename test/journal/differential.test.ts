import { randomInt } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Looking } from '../../src/journal/engine.ts'
import type { WriteRow } from '../../src/journal/contract.ts'
import { buckets, type Change, jobs, keys, nextChange, reasons, type World } from './changes.ts'
import { chance, type Chance } from './chance.ts'
import { isSame, overwriteBytes, type Outcome, type Pair, pair, plain } from './pair.ts'
import { checkRows } from './tables.ts'

/** Worlds in one run of `npm test`: two seconds. */
const worlds = Number(process.env['HOLDFAST_WORLDS'] ?? 20)
const changesInOne = 150
/** All is looked at after so many changes; what each of them answers, always. */
const changesAtOnce = 4
/** Of the story that a failure tells, the last lines. */
const told = 25

test(`after any changes, right and wrong ones, both journals answer the same, and counters are what a count finds (I9, I12)`, () => {
  const given = process.env['HOLDFAST_SEED']
  const first = given === 'random' ? randomInt(2 ** 24) : Number(given ?? 1)
  console.log(`seed ${first}: HOLDFAST_SEED=${first} HOLDFAST_WORLDS=1 repeats its world`)
  const made = new Map<string, { done: number; refused: number }>()
  for (let seed = first; seed < first + worlds; seed++) live(seed, made)
  const all = [...made].map(([op, { done, refused }]) => `${op} ${done}${refused === 0 ? '' : `/${refused}`}`)
  console.log(`changes made/refused in ${worlds} worlds: ${all.toSorted().join(', ')}`)
}, 300_000)

function live(seed: number, made: Map<string, { done: number; refused: number }>): void {
  using both = pair()
  const world: World = {
    chance: chance(seed),
    looking: both.sqlite.looking,
    publish: file => {
      for (const { files } of [both.sqlite, both.memory]) files.add(file)
    },
    now: 1_700_000_000_000,
    lastSeq: 0,
    uploads: [],
    versions: [],
    files: [],
  }
  const story: string[] = []
  let steps = 0
  const step = (change: Change): void => {
    story.push(`${change.op} ${JSON.stringify(plain(change.args))}`)
    const [sqlite, memory] = [both.sqlite.change(change.op, change.args), both.memory.change(change.op, change.args)]
    story.push(`  → ${JSON.stringify(plain(sqlite))}`)
    const count = made.get(change.op) ?? { done: 0, refused: 0 }
    count['value' in sqlite ? 'done' : 'refused']++
    made.set(change.op, count)
    demandSame(seed, story, sqlite, memory)
    learn(world, sqlite)
    if (++steps % changesAtOnce === 0) compare(seed, story, both, world)
  }
  const register = buckets.slice(0, 3).map(name => ({ location: `test://${name}`, name }))
  step({ op: 'register', args: [register] })
  step({ op: 'takeLease', args: [] })
  for (let i = 0; i < changesInOne; i++) {
    step(nextChange(world))
    if (!world.chance.oneIn(60)) continue
    story.push('nobody has it open: ids of retired providers are freed')
    for (const side of [both.sqlite, both.memory]) side.freeRetired()
    compare(seed, story, both, world)
  }
}

function learn(world: World, outcome: Outcome): void {
  const value = 'value' in outcome ? outcome.value : undefined
  if (typeof value !== 'object' || value === null || !('seq' in value) || !('version' in value)) return
  world.lastSeq = value.seq as number
  world.versions.push(value.version as string)
}

function compare(seed: number, story: readonly string[], both: Pair, world: World): void {
  const { sqlite, memory } = both
  // Both are asked the same.
  const asked = world.chance.below(2 ** 31)
  const [a, b] = [seenIn(sqlite.looking, world, chance(asked)), seenIn(memory.looking, world, chance(asked))]
  demandSame(seed, story, a, b)
  demandSame(seed, story, sqlite.files, memory.files)
  overwriteBytes(b)
  try {
    if (asked % 4 === 0) checkRows(memory.tables)
  } catch (error) {
    throw new Error(`${(error as Error).message}; ${tellOf(seed, story)}`, { cause: error })
  }
  const { accepted, done, superseded, groups } = sqlite.looking.counts()
  const open = groups.filter(({ origin, state }) => origin === 'app' && state === 'open')
  const sum = done + superseded + open.reduce((count, { writes }) => count + writes, 0)
  expect(accepted, tellOf(seed, story)).toBe(sum)
}

function demandSame(seed: number, story: readonly string[], sqlite: unknown, memory: unknown): void {
  if (isSame(sqlite, memory)) return
  expect(plain(memory), `memory against SQLite; ${tellOf(seed, story)}`).toEqual(plain(sqlite))
}

function tellOf(seed: number, story: readonly string[]): string {
  return [`HOLDFAST_SEED=${seed} HOLDFAST_WORLDS=1 repeats it`, ...story.slice(-told)].join('\n')
}

/** Everything that can be looked at. */
function seenIn(looking: Looking, { now, lastSeq, uploads }: World, choose: Chance): object {
  const seqs = Array.from({ length: lastSeq + 1 }, (_, index) => index + 1)
  const writes = seqs.map(seq => looking.write(seq)).filter((row): row is WriteRow => row !== undefined)
  const except = new Set(choose.oneIn(2) ? [] : choose.some(keys))
  const limit = choose.oneIn(2) ? 100 : 1 + choose.below(3)
  const providers = [1, 2, 3, 4]
  const query = { now: now + choose.below(800), limit, except }
  const order = choose.of(['oldest', 'fresh'] as const)
  const prefix = choose.of(['', 'a', 'a/', '😀', 'none'])
  const after = choose.oneIn(2) ? 0 : choose.below(lastSeq + 1)
  const selected = {
    owed: choose.some(providers),
    ...(choose.oneIn(3) ? { provider: choose.of(providers) } : {}),
    ...(choose.oneIn(3) ? { reason: choose.of(reasons) } : {}),
    ...(choose.oneIn(3) ? { key: choose.of(keys) } : {}),
  }
  return {
    writes,
    views: keys.map(key => [looking.view(key), looking.isOpen(key), providers.map(id => looking.isOpenFor(key, id))]),
    openKeys: looking.openKeys(prefix, choose.of(['', ...keys]), limit),
    counts: looking.counts(),
    stagedBytes: looking.stagedBytes(),
    blocked: looking.blocked(),
    providers: looking.providers(),
    lease: looking.leaseToken(),
    tasks: providers.map(provider => ({
      due: looking.due({ ...query, provider, order }),
      looks: looking.looks({ ...query, provider, order }),
      next: looking.nextAt(provider),
    })),
    held: [looking.heldBytes(), looking.heldBytes('repair')],
    releasable: looking.releasable(limit),
    superseded: looking.superseded(query.now, limit).map(({ seq }) => seq),
    trash: looking.trash(limit),
    bodies: looking.withBodies(after).map(({ seq }) => seq),
    uploads: [looking.uploads(''), looking.uploads(prefix), uploads.map(id => looking.upload(id))],
    parts: uploads.map(id => looking.uploadedParts(id)),
    stuck: [
      looking.blockedReplicas({ after, limit, ...selected }),
      looking.blockedReplicas({ after: 0, limit: 100, owed: [] }),
    ],
    abandoned: looking.abandoned(limit),
    jobs: [looking.jobs(''), looking.jobs('backfill/'), jobs.map(name => looking.job(name))],
  }
}
