import { describe, expect, test } from 'vitest'
import type { CountGroup, Journal, KeyView, Lease, WriteRow } from '../../src/journal/contract.ts'
import { plain } from './pair.ts'
import { clock, type Disk, diskFor } from './power.ts'
import { type Engine, engines } from './scene.ts'
import { evidence, refused, script } from './script.ts'

const [first, second] = ['1'.repeat(16), '2'.repeat(16)] as const
const keys = [
  'row',
  'file',
  'gone',
  'kept',
  'refused',
  'withdrawn',
  'upload',
  'tentative',
  'open',
  'overtaken',
  'sent',
  'lost',
]
const uploads = ['0', '1', '2'].map(digit => digit.repeat(32))
/** More than the script makes. */
const mostWrites = 30

describe.each(engines)('power cuts under the journal in %s', engine => {
  test('whatever a process was committing is there whole or not at all, and what was there before is as it was; the next one finds the lease free, and ends all of it (I1, I3, I9, D1)', async () => {
    const after = await uncut(engine)
    const cuts = after.flatMap((_, commit) => (['before', 'after'] as const).map(moment => ({ commit, moment })))
    expect(cuts.length).toBeGreaterThan(150)
    for (const { commit, moment } of cuts) {
      const what = `cut ${moment} commit ${commit} of ${engine}: ${after[commit]?.ops.join()}`
      using disk = diskFor(engine)
      using left = await cutAt(disk, commit, moment)
      const journal = await left.open(second)
      const expected = moment === 'after' ? after[commit] : after[commit - 1]
      if (expected !== undefined) expect(shown(journal), what).toEqual(expected.shown)
      else expect(journal.providers(), what).toEqual([])
      left.check()
      await endAll(journal, what)
      left.check()
      await journal.close()
    }
  }, 120_000)
})

interface Committed {
  readonly ops: readonly string[]
  readonly shown: unknown
}

/** What is there after each commit of the script. */
async function uncut(engine: Engine): Promise<readonly Committed[]> {
  using disk = diskFor(engine)
  const after: Committed[] = []
  const journal: Journal = await disk.open(first, (moment, ops) => {
    if (moment === 'after') after.push({ ops, shown: shown(journal) })
  })
  await script(journal)
  const made = [...after]
  await journal.close()
  return made
}

/** Runs the script until the power is cut at this commit, and answers what is left. The process is never answered. */
function cutAt(disk: Disk, commit: number, when: 'before' | 'after'): Promise<Disk> {
  const { promise, resolve, reject } = Promise.withResolvers<Disk>()
  let commits = -1
  const atCommit = (moment: 'before' | 'after'): void => {
    if (moment === 'before') commits++
    if (commits === commit && moment === when) resolve(disk.cut())
  }
  const answered = () => reject(new Error('a process was answered after the power was cut'))
  disk.open(first, atCommit).then(script).then(answered, reject)
  return promise
}

/** Everything that a process can see. Replicas for a provider that was retired go when nobody has the directory open, with its id. */
function shown(journal: Journal): unknown {
  const { groups, ...counts } = journal.counts()
  const listed = new Set(journal.providers().map(({ id }) => id))
  const shownRow = (row: WriteRow | undefined) =>
    row && { ...row, replicas: row.replicas.filter(({ provider }) => listed.has(provider)) }
  const shownView = ({ open, tentative, ...rest }: KeyView) => ({
    ...rest,
    open: shownRow(open),
    tentative: shownRow(tentative),
  })
  return plain({
    writes: writesOf(journal).map(shownRow),
    views: keys.map(key => shownView(journal.view(key))),
    open: journal.openKeys('', '', 100),
    counts: { ...counts, groups: groups.map(inOneLine).toSorted() },
    blocked: journal.blockedReplicas({ after: 0, limit: 100, owed: [] }),
    abandoned: journal.abandoned(100),
    providers: journal.providers(),
    uploads: [journal.uploads(''), uploads.map(id => journal.uploadedParts(id))],
    jobs: journal.jobs('').map(name => [name, journal.job(name)]),
  })
}

function inOneLine({ origin, state, waiting, blocked, stored, writes, bytes }: CountGroup): string {
  return [origin, state, waiting, blocked, stored, writes, bytes].join()
}

function writesOf(journal: Journal): WriteRow[] {
  return Array.from({ length: mostWrites }, (_, index) => journal.write(index + 1)).filter(row => row !== undefined)
}

/** What the next process does with what it finds: afterwards nothing is left, and every write that was accepted is done or superseded. */
async function endAll(journal: Journal, what: string): Promise<void> {
  const before = writesOf(journal)
  const lease = await journal.lease()
  if (lease === undefined) throw new Error(`${what}: the lease is not free`)
  for (const row of before) checkTakenOver(row, journal.write(row.seq), what)
  for (const { seq, state } of before) if (state === 'tentative') await settle(journal, lease, seq, what)
  for (const row of writesOf(journal).filter(({ state }) => state === 'open')) await bringAway(lease, row)
  await lease.release(writesOf(journal).map(({ seq }) => ({ seq, cache: false })))
  const { accepted, done, superseded, groups } = journal.counts()
  expect({ accepted, left: writesOf(journal).length }, what).toEqual({ accepted: done + superseded, left: 0 })
  expect(
    groups.filter(({ state }) => state !== 'upload'),
    what,
  ).toEqual([])
  for (const upload of journal.uploads('')) await journal.dropUpload(upload.id)
  expect(journal.counts().groups, what).toEqual([])
}

/** What was being sent has an unknown outcome: it waits again, one attempt later. All else is as it was. */
function checkTakenOver(before: WriteRow, now: WriteRow | undefined, what: string): void {
  const expected = before.replicas.map(replica =>
    replica.state === 'sending'
      ? { ...replica, state: 'waiting', attempt: replica.attempt + 1, notBefore: 0 }
      : replica,
  )
  expect(now?.replicas, what).toEqual(expected)
}

/** A conditional write that may have been sent is decided at the primary; another can be taken back. */
async function settle(journal: Journal, lease: Lease, seq: number, what: string): Promise<void> {
  const isBegun = journal.write(seq)?.replicas.some(({ attempt }) => attempt > 0) === true
  expect(await journal.withdraw(seq), what).toBe(!isBegun)
  if (!isBegun) return
  await lease.decide(seq, refused)
  expect(journal.write(seq)?.state, what).toBe('refused')
}

async function bringAway(lease: Lease, { seq, replicas }: WriteRow): Promise<void> {
  for (const { provider } of replicas) {
    await lease.stored(seq, provider, evidence(clock.now()))
    await lease.verified(seq, provider)
  }
}
