import { renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import type { Lease } from '../../src/journal/contract.ts'
import { deletion, engines, evidence, scene, write } from './scene.ts'

const now = () => Date.now()
const nothing: ReadonlySet<string> = new Set()

async function leased(journal: { lease(): Promise<Lease | undefined> }): Promise<Lease> {
  const lease = await journal.lease()
  if (lease === undefined) throw new Error('the lease is taken')
  return lease
}

describe.each(engines)('the journal in %s', engine => {
  test('versions strictly increase, between processes too, and past every version seen (I12)', async () => {
    await using at = await scene(engine)
    const [one, two] = [await at.journal(), await at.journal()]
    const seen: string[] = []
    for (let i = 0; i < 20; i++) seen.push((await (i % 2 === 0 ? one : two).accept(write('k'))).version)
    expect(seen.toSorted()).toEqual(seen)
    expect(new Set(seen).size).toBe(20)
    const ahead = `${(Date.now() + 1_000_000).toString(16).padStart(12, '0')}0000ffffffffffffffff`
    await one.observe(ahead)
    const next = await two.accept(write('k'))
    expect(next.version > ahead).toBe(true)
    // A clock that goes back makes no older version.
    const back = await one.accept(write('k', { stampMs: 1 }))
    expect(back.version > next.version).toBe(true)
  })

  test('where bodies need room, second looks at them come early, and not those at deletes, which hold nothing (I13, I18)', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await leased(journal)
    const soon = now() + 60_000
    for (const { seq } of [await journal.accept(write('put')), await journal.accept(deletion('gone'))])
      await lease.stored(seq, 1, evidence({ storedAt: now() - 10, lookAt: soon }))
    await lease.hasten(now())
    const looks = lease.looks({ provider: 1, now: now(), limit: 10, order: 'oldest', except: nothing })
    expect(looks.map(({ write: { key } }) => key)).toEqual(['put'])
    expect(lease.nextAt(1)).toBe(0)
    await lease.end()
  })

  test('one of several processes has the lease; whoever had it before is fenced off (I38)', async () => {
    await using at = await scene(engine)
    const [one, two] = [await at.journal(), await at.journal()]
    const { seq } = await one.accept(write('k'))
    const first = await leased(one)
    expect(await two.lease()).toBeUndefined()
    expect(await one.lease()).toBeUndefined()
    await first.stored(seq, 1, evidence())
    await first.end()
    const second = await leased(two)
    expect(second.token).toBeGreaterThan(first.token)
    await expect(first.stored(seq, 2, evidence())).rejects.toMatchObject({ code: 'CLOSED', field: 'lease' })
    expect(one.write(seq)?.replicas.map(({ state }) => state)).toEqual(['stored', 'waiting'])
    await second.end()
  })

  test('a lease dies with its process', async () => {
    await using at = await scene(engine)
    const one = await at.journal()
    await leased(one)
    await one.close()
    const two = await at.journal()
    expect(await two.lease()).toBeDefined()
  })

  test('one refused write of a batch leaves the others alone (J7)', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const answers = await Promise.allSettled([
      journal.accept(write('a')),
      journal.accept(write('b', { body: { in: 'file', file: 'f'.repeat(32) } })),
      journal.accept(write('c', { size: 2_000_000 })),
      journal.accept(write('d')),
    ])
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled'])
    expect(answers[1]).toMatchObject({ reason: { code: 'CORRUPT', rule: 'body', outcome: 'rejected' } })
    expect(answers[2]).toMatchObject({ reason: { code: 'NO_SPACE', field: 'maxStageBytes', outcome: 'rejected' } })
    expect(journal.counts().accepted).toBe(2)
  })

  test('deletes are taken on a full stage (I31)', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    await journal.accept(write('k', { maxStageBytes: 10 }))
    await expect(journal.accept(write('k2', { maxStageBytes: 10 }))).rejects.toMatchObject({ code: 'NO_SPACE' })
    await journal.accept(deletion('k', { maxStageBytes: 10 }))
    expect(journal.view('k')).toMatchObject({ open: { kind: 'delete' } })
  })

  test('a write supersedes older ones of its key, and its replicas are due at each provider; tentative ones go first', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    await journal.accept(write('k'))
    const second = await journal.accept(write('k'))
    const other = await journal.accept(write('other'))
    const tentative = await journal.accept(write('new', { condition: 'absent' }))
    const lease = await leased(journal)
    const query = { now: now() + 1, limit: 10, order: 'oldest' as const, except: nothing }
    const seqs = (provider: number) => lease.due({ ...query, provider }).map(task => task.write.seq)
    expect(seqs(1)).toEqual([tentative.seq, second.seq, other.seq])
    expect(seqs(2)).toEqual([second.seq, other.seq])
    expect(lease.due({ ...query, provider: 2, except: new Set(['k']) }).map(task => task.write.seq)).toEqual([
      other.seq,
    ])
    expect(lease.due({ ...query, provider: 2, order: 'fresh' }).map(task => task.write.seq)).toEqual([
      other.seq,
      second.seq,
    ])
    expect(lease.superseded(now(), 10).map(({ seq }) => seq)).toEqual([second.seq - 1])
    expect(journal.counts()).toMatchObject({ accepted: 3, superseded: 1 })
  })

  test('a write that both verified is released: its row goes, a delete is remembered, the counters agree (I19, I9)', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const put = await journal.accept(write('a'))
    const gone = await journal.accept(deletion('b'))
    const lease = await leased(journal)
    for (const { seq } of [put, gone]) {
      for (const provider of [1, 2]) expect(await lease.sending(seq, provider)).toBe(true)
      await lease.stored(seq, 1, evidence())
      await lease.verified(seq, 1)
      // Still being sent to the other.
      expect(lease.releasable(10).map(write => write.seq)).not.toContain(seq)
      await lease.stored(seq, 2, evidence())
      expect(lease.releasable(10).map(write => write.seq)).not.toContain(seq)
      await lease.verified(seq, 2)
    }
    expect(lease.releasable(10).map(({ seq }) => seq)).toEqual([put.seq, gone.seq])
    await lease.release([put, gone].map(({ seq }) => ({ seq, cache: false })))
    expect(journal.write(put.seq)).toBeUndefined()
    expect(journal.view('a')).toMatchObject({ open: undefined, newest: put.version })
    expect(journal.view('b')).toMatchObject({ open: undefined, deleted: gone.version })
    expect(journal.counts()).toMatchObject({ accepted: 2, done: 2, groups: [] })
    await lease.trim({ deletedBefore: now() + 1, knownRows: 0, cacheBytes: 0 })
    expect(journal.view('a').newest).toBeUndefined()
    expect(journal.view('b').deleted).toBeUndefined()
  })

  test('a conditional write is refused or kept by the decision of the primary, and can be withdrawn only before it is sent', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await leased(journal)
    const kept = await journal.accept(write('kept', { condition: 'absent' }))
    const refused = await journal.accept(write('refused', { condition: 'absent' }))
    const sent = await journal.accept(write('sent', { condition: 'absent' }))
    const early = await journal.accept(write('early', { condition: 'absent' }))
    expect(journal.view('kept')).toMatchObject({ open: undefined, tentative: { seq: kept.seq } })
    expect(journal.counts().accepted).toBe(0)
    await lease.decide(kept.seq, { kept: true, provider: 1, evidence: evidence() })
    await lease.decide(refused.seq, {
      kept: false,
      refusal: { code: 'PRECONDITION', message: 'it is there', outcome: 'rejected' },
    })
    await lease.sending(sent.seq, 1)
    expect(await journal.withdraw(sent.seq)).toBe(false)
    expect(await journal.withdraw(early.seq)).toBe(true)
    expect(journal.write(early.seq)).toBeUndefined()
    expect(journal.write(kept.seq)).toMatchObject({
      state: 'open',
      replicas: [{ state: 'stored' }, { state: 'waiting' }],
    })
    expect(journal.write(refused.seq)).toMatchObject({ state: 'refused', refusal: { code: 'PRECONDITION' }, size: 0 })
    expect(journal.counts().accepted).toBe(1)
    await expect(journal.accept(write('kept', { condition: 'absent' }))).rejects.toMatchObject({ code: 'PRECONDITION' })
  })

  test('what was being sent when its process died waits again, with its attempt counted', async () => {
    await using at = await scene(engine)
    const one = await at.journal()
    const { seq } = await one.accept(write('k', { condition: 'absent' }))
    const lease = await leased(one)
    await lease.sending(seq, 1)
    await one.close()
    const two = await at.journal()
    await leased(two)
    expect(two.write(seq)?.replicas).toMatchObject([{ state: 'waiting', attempt: 1 }])
    expect(await two.withdraw(seq)).toBe(false)
  })

  test('nothing is accepted by any process once the directory is poisoned, and the next open alone verifies everything (I4)', async () => {
    await using at = await scene(engine)
    const [one, two] = [await at.journal(), await at.journal()]
    const { version } = await one.accept(write('k'))
    writeFileSync(join(at.path, 'poisoned'), 'a failed fsync', { mode: 0o600 })
    for (const journal of [one, two])
      await expect(journal.accept(write('k2'))).rejects.toMatchObject({
        code: 'CORRUPT',
        field: 'directory',
        rule: 'poisoned',
        outcome: 'rejected',
      })
    await one.close()
    await expect(at.open()).rejects.toMatchObject({ code: 'CORRUPT', rule: 'poisoned' })
    await two.close()
    const { journal, verification } = await at.open()
    expect([...(verification?.bodies() ?? [])].map(({ key }) => key)).toEqual(['k'])
    await expect(journal.accept(write('k2'))).rejects.toMatchObject({ rule: 'poisoned' })
    // Nobody else comes in while it verifies.
    await expect(at.open()).rejects.toMatchObject({ field: 'directory' })
    await verification?.done()
    expect((await journal.accept(write('k2'))).version > version).toBe(true)
    expect((await at.open()).verification).toBeUndefined()
  })

  test('changes of another process are heard of', async () => {
    await using at = await scene(engine)
    const [one, two] = [await at.journal(), await at.journal()]
    const heard = new Promise<void>(resolve => {
      one.onChange(() => resolve())
    })
    const alive = setInterval(() => {}, 1_000)
    await two.accept(write('k'))
    await heard
    clearInterval(alive)
    expect(one.view('k').open?.key).toBe('k')
  })

  test('open keys come in UTF-8 byte order, a page at a time, under a prefix', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const keys = ['a', 'b/1', 'b/2', 'b/\uffee', 'b/😀', 'c', 'ä', '日本']
    for (const key of keys.toReversed()) await journal.accept(write(key))
    await journal.accept(deletion('b/2'))
    expect(journal.openKeys('', '', 100).map(({ key }) => key)).toEqual(keys)
    expect(journal.openKeys('b/', '', 2).map(({ key, kind }) => [key, kind])).toEqual([
      ['b/1', 'put'],
      ['b/2', 'delete'],
    ])
    expect(journal.openKeys('b/', 'b/2', 100).map(({ key }) => key)).toEqual(['b/\uffee', 'b/😀'])
  })

  test('only files that nothing refers to are collected, under the lock that accepting needs (I20)', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const [used, orphan] = ['a'.repeat(32), 'b'.repeat(32)] as const
    const { digestsOf } = await import('../../src/core/digest.ts')
    const bytes = Buffer.from('bytes')
    for (const file of [used, orphan]) writeFileSync(join(at.path, 'bodies', file), bytes, { mode: 0o600 })
    await journal.accept(write('k', { size: 5, ...digestsOf(bytes), body: { in: 'file', file: used } }))
    const lease = await leased(journal)
    expect(await lease.collect([used, orphan])).toEqual([orphan])
  })
})

test('a row whose bits were flipped is known as damaged, and says nothing that is believed (I7)', async () => {
  await using at = await scene()
  const journal = await at.journal()
  const { seq } = await journal.accept(write('k'))
  const database = new Database(join(at.path, 'journal.sqlite'))
  const text = database.prepare<[number], string>('SELECT attributes FROM writes WHERE seq = ?').pluck().get(seq) ?? ''
  database.prepare('UPDATE writes SET attributes = ? WHERE seq = ?').run(text.replace('plain', 'qlain'), seq)
  expect(journal.write(seq)?.damaged).toBe(true)
  database.prepare('UPDATE writes SET attributes = ? WHERE seq = ?').run(text, seq)
  expect(journal.write(seq)?.damaged).toBe(false)
  database.close()
})

test('a journal of another version, of another directory, or damaged is not opened, and says what to do (J5, J6, D9)', async () => {
  for (const [pragma, expected] of [
    [
      'user_version = 4',
      { code: 'INVALID', field: 'journal', rule: 'version', message: /format 4.*use the version that wrote it/s },
    ],
    ['user_version = 3', undefined],
  ] as const) {
    await using at = await scene()
    await (await at.journal()).close()
    const database = new Database(join(at.path, 'journal.sqlite'))
    database.pragma(pragma)
    database.close()
    if (expected !== undefined) {
      const failed: unknown = await at.open().catch((error: unknown) => error)
      expect(failed).toMatchObject({ ...expected, message: expect.stringMatching(expected.message) })
    } else await at.open()
  }
  await using at = await scene()
  await (await at.journal()).close()
  const database = new Database(join(at.path, 'journal.sqlite'))
  database.prepare("UPDATE meta SET value = 'another' WHERE name = 'directory'").run()
  await expect(at.open()).rejects.toMatchObject({ code: 'CORRUPT', field: 'directory', rule: 'identity' })
  database.close()
})

test('a journal that is gone or empty is not replaced by a new one, whether or not there are bodies (J2, I14, I20)', async () => {
  await using at = await scene()
  const first = await at.journal()
  await first.accept(write('k'))
  await first.close()
  const journal = join(at.path, 'journal.sqlite')
  renameSync(journal, `${journal}.away`)
  const refused = { code: 'CORRUPT', field: 'journal', rule: 'missing' }
  await expect(at.open()).rejects.toMatchObject(refused)
  writeFileSync(journal, '')
  await expect(at.open()).rejects.toMatchObject(refused)
  const body = join(at.path, 'bodies', 'c'.repeat(32))
  writeFileSync(body, 'promised', { mode: 0o600 })
  await expect(at.open()).rejects.toMatchObject(refused)
  unlinkSync(body)
  renameSync(`${journal}.away`, journal)
  expect((await at.journal()).view('k').open?.key).toBe('k')
})
