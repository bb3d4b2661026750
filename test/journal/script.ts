import { digestsOf } from '../../src/core/digest.ts'
import type { Decision, Evidence, Journal, Lease, NewWrite } from '../../src/journal/contract.ts'
import type { NewPart } from '../../src/journal/upload-contract.ts'
import { clock } from './power.ts'
import { write as anyWrite } from './scene.ts'

/** What one process asks of a journal, one after the other: each kind of change, at least once. */
export async function script(journal: Journal): Promise<void> {
  const [now, seqs] = [clock.now(), new Map<string, number>()]
  const seq = (key: string) => seqs.get(key) as number
  const accept = async (key: string, more: Partial<NewWrite> = {}) => {
    seqs.set(key, (await journal.accept(write(key, more))).seq)
  }
  await journal.register(['a', 'b'].map(bucket))
  const lease = (await journal.lease()) as Lease
  const safe = async (key: string) => {
    for (const provider of [1, 2]) await lease.stored(seq(key), provider, evidence(now))
    for (const provider of [1, 2]) await lease.verified(seq(key), provider)
  }
  await lease.learnt(1, { identity: 'one' })
  await lease.learnt(2, { identity: 'two' })
  await lease.health(1, { state: 'up', since: now })

  await accept('row')
  await accept('file', { body: { in: 'file', file: 'f'.repeat(32) } })
  await accept('gone', { kind: 'delete', size: 0, crc32c: '', md5: '', body: { in: 'none' } })
  await accept('row')
  await safe('row')
  await safe('gone')
  await lease.release([1, seq('row'), seq('gone')].map(each => ({ seq: each, cache: true })))
  await journal.touch('row')
  await journal.observe('7'.repeat(32))

  await accept('kept', { condition: 'absent' })
  await lease.sending(seq('kept'), 1)
  await lease.decide(seq('kept'), kept(now))
  await accept('refused', { condition: 'absent' })
  await lease.sending(seq('refused'), 1)
  await lease.decide(seq('refused'), refused)
  await accept('withdrawn', { condition: 'absent' })
  await journal.withdraw(seq('withdrawn'))

  const complete = async (id: string, key: string, more: Partial<NewWrite> = {}) => {
    const parts = journal.uploadedParts(id).map(({ file, size, crc32c, md5 }) => ({ file, size, crc32c, md5 }))
    const chosen = parts.slice(0, 2)
    const body = { in: 'parts', parts: chosen } as const
    const size = chosen.reduce((sum, part) => sum + part.size, 0)
    seqs.set(key, (await journal.completeUpload(id, write(key, { size, body, ...more }))).seq)
  }
  for (const [index, key] of ['upload', 'tentative', 'open'].entries()) {
    const id = String(index).repeat(32)
    const attributes = { contentType: 'text/plain', metadata: {} }
    await journal.beginUpload({ id, key, attributes, features: undefined, checksum: undefined, createdAt: now })
    for (const number of [1, 2, 3]) await journal.addPart(part(id, number, now))
  }
  await complete('0'.repeat(32), 'upload')
  await complete('1'.repeat(32), 'tentative', { condition: 'absent' })
  await lease.decide(seq('tentative'), refused)
  await complete('1'.repeat(32), 'tentative', { condition: 'absent' })
  await journal.addPart({ ...part('2'.repeat(32), 1, now), file: 'e'.repeat(32) })
  await journal.dropUpload('2'.repeat(32))
  await lease.emptied(['e'.repeat(32)])

  await lease.block(seq('upload'), 2, 'LOCAL_CORRUPT', 'a part is damaged')
  await lease.restore(seq('upload'), { in: 'file', file: 'd'.repeat(32) })
  await lease.restore(seq('upload'), { in: 'row', bytes: Buffer.from('upload') })

  await lease.block(seq('file'), 2, 'TOO_OLD', 'it waited too long')
  await journal.retry({ key: 'file' })
  await lease.postpone(seq('file'), 2, { notBefore: now + 5, attempt: 2, reason: 'NETWORK', message: 'down' })
  await lease.hurry(2)
  await lease.saveUpload(seq('file'), 2, 'upload')
  await lease.stored(seq('file'), 2, { ...evidence(now), lookAt: now + 1_000 })
  await lease.hasten(now + 1)
  await lease.again(seq('file'), 2, 'it is gone')
  await lease.block(seq('file'), 2, 'REFUSED', 'no')
  await lease.unblock(2)
  await lease.block(seq('file'), 2, 'REFUSED', 'no')
  await journal.giveUp({ key: 'file' }, 'not needed there', false, () => {})

  await accept('overtaken')
  await lease.overtaken(seq('overtaken'), '8'.repeat(32), 1)
  await journal.saveJob('scrub', '{"at":"k"}')
  await journal.register(['a', 'b', 'c'].map(bucket))
  await journal.include(3)
  await journal.filled(3)
  await journal.stale(3)
  await journal.trusted(3)
  await journal.acceptBucket(2, 'two')
  await journal.retire(3, 'account closed', () => {})
  await accept('sent', { condition: 'absent' })
  await lease.sending(seq('sent'), 1)
  await accept('lost', {
    origin: 'repair',
    version: '9'.repeat(32),
    providers: [2],
    damaged: [{ provider: 2, token: 'bad' }],
  })
  await lease.trim({ deletedBefore: now + 1, knownRows: 1, cacheBytes: 0 })
}

export function bucket(name: string): { location: string; name: string } {
  return { location: `test://${name}`, name }
}

export function evidence(now: number): Evidence {
  return { token: 'token', proof: 'server-full', etag: 'etag', partSize: undefined, storedAt: now, lookAt: now }
}

export const refused: Decision = {
  kept: false,
  refusal: { code: 'PRECONDITION', message: 'it is there', outcome: 'rejected' },
}

function kept(now: number): Decision {
  return { kept: true, provider: 1, evidence: evidence(now) }
}

function write(key: string, more: Partial<NewWrite>): NewWrite {
  const bytes = Buffer.from(`the bytes of ${key}`)
  return anyWrite(key, {
    stampMs: clock.now(),
    size: bytes.byteLength,
    ...digestsOf(bytes),
    body: { in: 'row', bytes },
    ...more,
  })
}

function part(upload: string, number: number, now: number): NewPart {
  const bytes = Buffer.from(`part ${number} of ${upload}`)
  const file = `${upload.slice(0, 31)}${number}`
  const size = bytes.byteLength
  return { upload, number, file, size, ...digestsOf(bytes), checksum: undefined, uploadedAt: now, maxStageBytes: 1e6 }
}
