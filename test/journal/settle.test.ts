import { describe, expect, test } from 'vitest'
import type { Journal, Lease } from '../../src/journal/contract.ts'
import type { AbandonedReplica } from '../../src/journal/settle-contract.ts'
import { at as bucket, deletion, engines, evidence, scene, write } from './scene.ts'

const silent = () => {}
const all = { after: 0, limit: 100, owed: [] }

async function leased(journal: Journal): Promise<Lease> {
  const lease = await journal.lease()
  if (lease === undefined) throw new Error('somebody else has the lease')
  return lease
}

/** A write that these providers refused for good. */
async function blocked(journal: Journal, lease: Lease, key: string, at: readonly number[], more = {}): Promise<number> {
  const { seq } = await journal.accept(write(key, more))
  for (const provider of at) await lease.block(seq, provider, 'REFUSED', 'no')
  return seq
}

const statesOf = (journal: Journal, seq: number) => journal.write(seq)?.replicas.map(({ state }) => state)
const sum = ({ accepted, done, superseded, groups }: ReturnType<Journal['counts']>) => ({
  accepted,
  is: done + superseded + groups.reduce((n, g) => (g.state === 'open' && g.origin === 'app' ? n + g.writes : n), 0),
})

describe.each(engines)('what a person settles, in %s', engine => {
  test('blocked replicas are listed oldest first, a page at a time, and by key, provider and reason', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await leased(journal)
    const seqs: number[] = []
    for (let i = 0; i < 5; i++) seqs.push(await blocked(journal, lease, `k${i}`, [2]))
    const both = await blocked(journal, lease, 'both', [1, 2])
    await lease.block(both, 1, 'KMS', 'no key')
    await journal.accept(write('waits'))
    const first = journal.blockedReplicas({ ...all, limit: 4 })
    expect(first.map(({ seq }) => seq)).toEqual(seqs.slice(0, 4))
    expect(first[0]).toMatchObject({
      key: 'k0',
      provider: 2,
      reason: 'REFUSED',
      message: 'no',
      isElsewhere: true,
      size: 10,
    })
    const rest = journal.blockedReplicas({ ...all, after: seqs[3] ?? 0, limit: 2 })
    expect(rest.map(({ seq, provider }) => [seq, provider])).toEqual([
      [seqs[4], 2],
      [both, 1],
      [both, 2],
    ])
    expect(rest[1]?.isElsewhere).toBe(false)
    expect(journal.blockedReplicas({ ...all, reason: 'KMS' })).toMatchObject([{ key: 'both', provider: 1 }])
    expect(journal.blockedReplicas({ ...all, provider: 1 })).toMatchObject([{ key: 'both', provider: 1 }])
    expect(journal.blockedReplicas({ ...all, key: 'k3' })).toMatchObject([{ key: 'k3', provider: 2 }])
    expect(journal.blockedReplicas({ ...all, key: 'k3', provider: 1 })).toEqual([])
    const owed = journal.blockedReplicas({ ...all, owed: [1], provider: 1 })
    expect(owed.map(({ key, reason }) => [key, reason])).toEqual([
      ...seqs.map((_, i) => [`k${i}`, undefined]),
      ['both', 'KMS'],
      ['waits', undefined],
    ])
    // Its other provider is blocked, and this one takes nothing.
    expect(owed[0]?.isElsewhere).toBe(false)
  })

  test('a page of what is blocked under one key has as many writes as were asked for', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await leased(journal)
    const first = await blocked(journal, lease, 'k', [1, 2])
    const { version } = journal.write(first) ?? {}
    const second = await blocked(journal, lease, 'k', [1], { condition: { version } })
    const page = (after: number) => journal.blockedReplicas({ ...all, after, key: 'k', limit: 1 })
    expect(page(0).map(({ seq, provider }) => [seq, provider])).toEqual([
      [first, 1],
      [first, 2],
    ])
    expect(page(first).map(({ seq }) => seq)).toEqual([second])
    // One that waits for nobody is no write of the page.
    await journal.retry({ key: 'k', provider: 2 })
    expect(journal.blockedReplicas({ ...all, key: 'k', limit: 2 }).map(({ seq }) => seq)).toEqual([first, second])
  })

  test('retry lets blocked replicas wait again; only a person confirms one that is too old', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await leased(journal)
    const refused = await blocked(journal, lease, 'refused', [1, 2])
    const { seq: old } = await journal.accept(write('old'))
    for (const provider of [1, 2]) await lease.block(old, provider, 'TOO_OLD', 'it waited too long')
    expect(await lease.unblock(1, ['TOO_OLD'])).toBe(1)
    expect(journal.write(old)?.replicas).toMatchObject([{ state: 'waiting', isConfirmed: false }, { state: 'blocked' }])
    expect(await journal.retry({ reason: 'TOO_OLD', provider: 1 })).toBe(0)
    expect(await journal.retry({ reason: 'TOO_OLD' })).toBe(1)
    expect(journal.write(old)?.replicas[1]).toMatchObject({ state: 'waiting', isConfirmed: true, notBefore: 0 })
    expect(statesOf(journal, refused)).toEqual(['blocked', 'blocked'])
    expect(await journal.retry({ key: 'refused', provider: 2 })).toBe(1)
    expect(journal.write(refused)?.replicas).toMatchObject([{ state: 'blocked' }, { isConfirmed: false }])
    expect(await journal.retry({})).toBe(1)
    expect(journal.blocked()).toEqual([])
    // A confirmation stays, whatever else goes wrong.
    await lease.postpone(old, 2, { notBefore: 0, attempt: 3, reason: 'NETWORK', message: 'down' })
    expect(journal.write(old)?.replicas[1]).toMatchObject({ attempt: 3, isConfirmed: true })
  })

  test('a write that is given up at one provider ends as done when the others verified it, and is remembered (I9)', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await leased(journal)
    const seq = await blocked(journal, lease, 'k', [2])
    const told: AbandonedReplica[] = []
    expect(await journal.giveUp({}, 'not needed there', false, each => told.push(each))).toEqual({
      abandoned: 1,
      kept: 0,
    })
    expect(statesOf(journal, seq)).toEqual(['waiting', 'abandoned'])
    expect(journal.abandoned(10)).toEqual(told)
    expect(told).toMatchObject([{ key: 'k', kind: 'put', provider: 'b', reason: 'REFUSED', why: 'not needed there' }])
    expect(lease.releasable(10)).toEqual([])
    await lease.stored(seq, 1, evidence())
    await lease.verified(seq, 1)
    expect(lease.releasable(10).map(write => write.seq)).toEqual([seq])
    await lease.release([{ seq, cache: false }])
    expect(journal.counts()).toMatchObject({ accepted: 1, done: 1, superseded: 0, abandoned: 1, groups: [] })
  })

  test('what comes late of a replica that was given up changes nothing', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await leased(journal)
    const seq = await blocked(journal, lease, 'k', [2])
    await journal.giveUp({ key: 'k' }, 'why', false, silent)
    const before = journal.write(seq)
    expect(await lease.sending(seq, 2)).toBe(false)
    await lease.stored(seq, 2, evidence())
    await lease.verified(seq, 2)
    await lease.again(seq, 2, 'gone')
    await lease.block(seq, 2, 'KMS', 'no key')
    await lease.postpone(seq, 2, { notBefore: 1, attempt: 9, reason: undefined, message: 'later' })
    await lease.saveUpload(seq, 2, 'upload')
    await lease.hurry(2)
    expect(await lease.unblock(2)).toBe(0)
    expect(await journal.retry({})).toBe(0)
    expect(journal.write(seq)).toEqual(before)
    expect(journal.view('k').newest).toBe(before?.version)
    await journal.close()
    expect((await at.journal()).write(seq)).toEqual(before)
  })

  test('the last copy is kept, unless it is said that it may be lost: then it ends as superseded (I9)', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await leased(journal)
    const put = await blocked(journal, lease, 'put', [1, 2])
    const { seq: gone } = await journal.accept(deletion('gone'))
    for (const provider of [1, 2]) await lease.block(gone, provider, 'RETENTION', 'kept by law')
    expect(await journal.giveUp({}, 'why', false, silent)).toEqual({ abandoned: 2, kept: 2 })
    expect(statesOf(journal, put)).toEqual(['abandoned', 'blocked'])
    expect(await journal.giveUp({ key: 'gone' }, 'why', false, silent)).toEqual({ abandoned: 0, kept: 1 })
    expect(await journal.giveUp({}, 'all right', true, silent)).toEqual({ abandoned: 2, kept: 0 })
    expect(journal.view('put').open).toBeUndefined()
    // A delete that nobody got is one no more.
    expect(journal.view('gone')).toMatchObject({ open: undefined, deleted: undefined })
    const counts = journal.counts()
    expect(counts).toMatchObject({ accepted: 2, superseded: 2, abandoned: 4 })
    expect(sum(counts)).toEqual({ accepted: 2, is: 2 })
    expect(lease.superseded(Date.now(), 10).map(({ seq }) => seq)).toEqual([put, gone])
    await lease.release([put, gone].map(seq => ({ seq, cache: true })))
    expect(journal.counts()).toMatchObject({ superseded: 2, done: 0, groups: [] })
  })

  test('a copy that a provider lost can be given up: it came from another one', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await leased(journal)
    const version = 'f'.repeat(32)
    const seq = await blocked(journal, lease, 'k', [2], { origin: 'repair', version, providers: [2] })
    expect(journal.isOpen('k')).toBe(true)
    expect(journal.blockedReplicas(all)).toMatchObject([{ isElsewhere: true }])
    expect(await journal.giveUp({}, 'why', false, silent)).toEqual({ abandoned: 1, kept: 0 })
    expect(journal.isOpen('k')).toBe(false)
    expect(journal.counts()).toMatchObject({ accepted: 0, superseded: 0 })
    await lease.release([{ seq, cache: false }])
  })

  test('more than a page is settled whole, and the last 10,000 are remembered', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await leased(journal)
    const seqs = await Promise.all(
      Array.from({ length: 1_200 }, async (_, i) => (await journal.accept(write(`k${i}`))).seq),
    )
    await Promise.all(seqs.map(seq => lease.block(seq, 2, 'REFUSED', 'no')))
    await Promise.all(seqs.slice(0, 3).map(seq => lease.block(seq, 1, 'REFUSED', 'no')))
    expect(await journal.retry({ provider: 2 })).toBe(1_200)
    await Promise.all(seqs.map(seq => lease.block(seq, 2, 'REFUSED', 'no')))
    expect(await journal.giveUp({ provider: 2 }, 'why', false, silent)).toEqual({ abandoned: 1_200, kept: 0 })
    expect(await journal.giveUp({}, 'why', false, silent)).toEqual({ abandoned: 0, kept: 3 })
    expect(journal.abandoned(2_000).length).toBe(1_200)
    expect(journal.abandoned(1)[0]?.key).toBe('k1199')
    at.pretendAbandoned(9_000)
    await journal.giveUp({ key: 'k0' }, 'why', true, silent)
    expect(journal.abandoned(20_000).length).toBe(10_000)
    expect(journal.abandoned(1)[0]?.key).toBe('k0')
    expect(journal.counts().abandoned).toBe(10_201)
    expect(sum(journal.counts())).toEqual({ accepted: 1_200, is: 1_200 })
  }, 20_000)

  test('retiring a provider abandons all that it is owed, keeps what is nowhere else, and unlists it', async () => {
    await using at = await scene(engine)
    const journal = await at.journal(['a', 'b'])
    const lease = await leased(journal)
    const waits = (await journal.accept(write('waits'))).seq
    const looks = (await journal.accept(write('looks'))).seq
    const only = (await journal.accept(write('only', { providers: [2] }))).seq
    const tentative = (await journal.accept(write('new', { condition: 'absent', providers: [2, 1] }))).seq
    const verified = (await journal.accept(write('verified'))).seq
    await lease.stored(looks, 2, evidence())
    await lease.stored(verified, 2, evidence())
    await lease.verified(verified, 2)
    await journal.saveJob('backfill/2/', '{}')
    await journal.saveJob('backfill/20/', '{}')
    expect(await journal.retire(2, 'account closed', silent)).toEqual({ abandoned: 3, kept: 1 })
    expect(statesOf(journal, waits)).toEqual(['waiting', 'abandoned'])
    expect(statesOf(journal, looks)).toEqual(['waiting', 'abandoned'])
    expect(statesOf(journal, verified)).toEqual(['waiting'])
    expect(statesOf(journal, only)).toEqual(['waiting'])
    expect(journal.write(tentative)).toMatchObject({ state: 'refused', refusal: { outcome: 'rejected' } })
    expect(journal.providers().length).toBe(2)
    // Nothing that it was known to hold counts.
    expect(journal.view('looks').newest).toBe(journal.write(looks)?.version)
    // The one that is kept is written anew for those that are there now.
    await journal.accept(write('only', { providers: [1] }))
    expect(await journal.retire(2, 'account closed', silent)).toEqual({ abandoned: 0, kept: 0 })
    expect(journal.providers().map(({ name }) => name)).toEqual(['a'])
    expect(journal.jobs('backfill/')).toEqual(['backfill/20/'])
    expect(sum(journal.counts())).toEqual({ accepted: 5, is: 5 })
  })

  test('a write that only the retired provider verified is kept, while it is on local disk (I18, I9)', async () => {
    await using at = await scene(engine)
    const journal = await at.journal(['a', 'b'])
    const lease = await leased(journal)
    const seq = await blocked(journal, lease, 'k', [1])
    await lease.stored(seq, 2, evidence())
    await lease.verified(seq, 2)
    expect(await journal.giveUp({}, 'why', false, silent)).toEqual({ abandoned: 1, kept: 0 })
    expect(await journal.retire(2, 'account closed', silent)).toEqual({ abandoned: 0, kept: 1 })
    expect(statesOf(journal, seq)).toEqual(['abandoned', 'verified'])
    expect(journal.providers().map(({ name }) => name)).toEqual(['a', 'b'])
    await journal.accept(write('k', { providers: [1] }))
    expect(await journal.retire(2, 'account closed', silent)).toEqual({ abandoned: 0, kept: 0 })
    expect(journal.providers().map(({ name }) => name)).toEqual(['a'])
    expect(sum(journal.counts())).toEqual({ accepted: 2, is: 2 })
  })

  test('a repair that only the retired provider verified is over', async () => {
    await using at = await scene(engine)
    const journal = await at.journal(['a', 'b'])
    const lease = await leased(journal)
    const { seq } = await journal.accept(write('k', { origin: 'repair', version: 'f'.repeat(32) }))
    await lease.block(seq, 1, 'REFUSED', 'no')
    await lease.stored(seq, 2, evidence())
    await lease.verified(seq, 2)
    await journal.giveUp({}, 'why', false, silent)
    expect(await journal.retire(2, 'account closed', silent)).toEqual({ abandoned: 0, kept: 0 })
    expect(journal.write(seq)?.state).toBe('superseded')
    expect(journal.isOpen('k')).toBe(false)
  })

  test('the id of a retired provider goes to another one only after nobody had the directory open', async () => {
    await using at = await scene(engine)
    const one = await at.journal(['a', 'b'])
    const { seq } = await one.accept(write('k'))
    await one.retire(2, 'why', silent)
    const [, c] = await one.register([bucket('a'), bucket('c')])
    expect(c).toMatchObject({ id: 3, isFilled: false })
    const two = await at.journal(['a', 'c'])
    await one.close()
    await two.close()
    const three = await at.journal(['a', 'c'])
    expect(three.providers().map(({ id }) => id)).toEqual([1, 3])
    expect(statesOf(three, seq)).toEqual(['waiting'])
    const [, , d] = await three.register(['a', 'c', 'd'].map(bucket))
    expect(d).toMatchObject({ id: 2, name: 'd', identity: undefined, isFilled: false })
    expect(three.view('k').open?.replicas.map(({ provider }) => provider)).toEqual([1])
  })

  test('a retired provider that is configured again, or written to all the same, is back: unfilled', async () => {
    await using at = await scene(engine)
    const journal = await at.journal(['a', 'b'])
    await journal.accept(write('k', { providers: [1] }))
    await journal.retire(2, 'why', silent)
    await journal.accept(write('from a process that knows nothing of it'))
    expect(journal.providers()).toMatchObject([{ isFilled: true }, { id: 2, name: 'b', isFilled: false }])
    await journal.retire(2, 'why', silent)
    expect(journal.providers().length).toBe(1)
    const [, again] = await journal.register([bucket('a'), bucket('b')])
    expect(again).toMatchObject({ id: 2, isFilled: false })
  })

  test('a directory remembers 30 buckets, and those that were retired make room', async () => {
    await using at = await scene(engine)
    const names = Array.from({ length: 30 }, (_, i) => `n${i}`)
    const journal = await at.journal(names)
    await journal.accept(write('k', { providers: [1] }))
    await expect(journal.register([bucket('more')])).rejects.toMatchObject({
      code: 'INVALID',
      field: 'providers',
      rule: 'count',
    })
    await journal.retire(30, 'why', silent)
    await journal.close()
    const again = await at.journal(['more'])
    expect(again.providers().at(-1)).toMatchObject({ id: 30, name: 'more', isFilled: false })
  })

  test('a provider is unfilled when it is added to a directory with history, and says so until it was filled', async () => {
    await using at = await scene(engine)
    const journal = await at.journal(['a', 'b'])
    expect(journal.providers().map(({ isFilled }) => isFilled)).toEqual([true, true])
    expect(await journal.register([bucket('c')])).toMatchObject([{ id: 3, isFilled: true }])
    await journal.accept(write('k'))
    expect(await journal.register([bucket('d')])).toMatchObject([{ id: 4, isFilled: false, isStale: false }])
    await journal.stale(4)
    await journal.filled(4)
    expect(journal.providers()[3]).toMatchObject({ isFilled: true, isStale: true })
    await journal.trusted(4)
    await journal.close()
    expect((await at.journal()).providers()[3]).toMatchObject({ isFilled: true, isStale: false })
  })

  test('what long work remembers is seen by every process, and survives', async () => {
    await using at = await scene(engine)
    const [one, two] = [await at.journal(), await at.journal()]
    await one.saveJob('reconcile/a_', '{"cursor":"a_1"}')
    await one.saveJob('reconcile/ab', '{}')
    await one.saveJob('scrub', '{"n":1}')
    await two.saveJob('scrub', '{"n":2}')
    expect(one.job('scrub')).toBe('{"n":2}')
    // A prefix is no pattern.
    expect(one.jobs('reconcile/a_')).toEqual(['reconcile/a_'])
    expect(one.jobs('')).toEqual(['reconcile/a_', 'reconcile/ab', 'scrub'])
    await one.saveJob('reconcile/a_', undefined)
    await one.close()
    await two.close()
    const again = await at.journal()
    expect(again.job('reconcile/a_')).toBeUndefined()
    expect(again.jobs('reconcile/')).toEqual(['reconcile/ab'])
  })

  test('a key is open while a write or a repair of it is not finished', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await leased(journal)
    expect(journal.isOpen('k')).toBe(false)
    const tentative = await journal.accept(write('k', { condition: 'absent' }))
    expect(journal.isOpen('k')).toBe(true)
    await journal.withdraw(tentative.seq)
    expect(journal.isOpen('k')).toBe(false)
    const { seq } = await journal.accept(write('k', { providers: [1] }))
    await lease.stored(seq, 1, evidence())
    expect(journal.isOpen('k')).toBe(true)
    await lease.overtaken(seq, 'f'.repeat(32), 1)
    expect(journal.isOpen('k')).toBe(false)
  })

  test('settling that ends in the middle leaves each write settled or as it was, and goes on when it is asked for again (I9)', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await leased(journal)
    const seqs = await Promise.all(
      Array.from({ length: 600 }, async (_, i) => (await journal.accept(write(`k${i}`))).seq),
    )
    await Promise.all(seqs.map(seq => lease.block(seq, 2, 'REFUSED', 'no')))
    let told = 0
    const closing: Promise<void>[] = []
    const interrupted = journal.giveUp({}, 'why', false, () => {
      told++
      closing.push(journal.close())
    })
    await expect(interrupted).rejects.toMatchObject({ code: 'CLOSED' })
    await Promise.all(closing)
    const again = await at.journal(['a'])
    const counts = again.counts()
    expect(counts.abandoned).toBe(told)
    expect(told).toBeLessThan(600)
    expect(sum(counts)).toEqual({ accepted: 600, is: 600 })
    expect(await again.retire(2, 'why', silent)).toEqual({ abandoned: 600 - told, kept: 0 })
    expect(sum(again.counts())).toEqual({ accepted: 600, is: 600 })
    expect(again.counts().groups).toMatchObject([{ waiting: 1, blocked: 0, writes: 600 }])
  })
})
