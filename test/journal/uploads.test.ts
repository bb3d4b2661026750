import { randomBytes } from 'node:crypto'
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import type { Journal, NewWrite } from '../../src/journal/contract.ts'
import type { BodyPart, NewPart, UploadedPart } from '../../src/journal/upload-contract.ts'
import { fileLock } from '../../src/journal/locks.ts'
import { engines, evidence, type Scene, scene, write } from './scene.ts'
import { makeFormat1 } from './format-1.ts'

const uploadId = () => randomBytes(16).toString('hex')

async function begin(journal: Journal, key: string, createdAt = Date.now()): Promise<string> {
  const id = uploadId()
  await journal.beginUpload({
    id,
    key,
    attributes: { contentType: 'video/mp4', metadata: { a: 'b' } },
    features: { s3: { ACL: 'private' } },
    checksum: { algorithm: 'CRC32', type: 'COMPOSITE' },
    createdAt,
  })
  return id
}

/** A part whose file is there. */
function published(at: Scene, upload: string, number: number, size = 100): NewPart {
  const bytes = randomBytes(size)
  const file = randomBytes(16).toString('hex')
  writeFileSync(join(at.path, 'bodies', file), bytes, { mode: 0o600 })
  const checksum = { algorithm: 'CRC32' as const, value: 'AAAAAA==' }
  return { upload, number, file, size, ...digestsOf(bytes), checksum, uploadedAt: Date.now(), maxStageBytes: 1_000 }
}

async function add(at: Scene, journal: Journal, upload: string, number: number): Promise<BodyPart> {
  const part = published(at, upload, number)
  await journal.addPart(part)
  return bodyPart(part)
}

const bodyPart = ({ file, size, crc32c, md5 }: BodyPart): BodyPart => ({ file, size, crc32c, md5 })
const named = (parts: readonly UploadedPart[]) => parts.map(({ number, file }) => [number, file])

/** The write that these parts become. The journal takes its digests on the caller's word; the directory is checked at the end, so they are right. */
function ofParts(at: Scene, key: string, parts: readonly BodyPart[], more: Partial<NewWrite> = {}): NewWrite {
  const whole = Buffer.concat(parts.map(({ file }) => readFileSync(join(at.path, 'bodies', file))))
  const layout = { etag: `${'0'.repeat(32)}-${parts.length}`, parts: [{ count: parts.length, bytes: 100 }] }
  return write(key, { size: whole.byteLength, ...digestsOf(whole), layout, body: { in: 'parts', parts }, ...more })
}

/** What the collector would leave of these. */
const unused = async (journal: Journal, files: readonly string[]) => {
  const lease = await journal.lease()
  const orphans = (await lease?.collect(files)) ?? []
  await lease?.end()
  return orphans
}

/** Removes what a test left lying about, as the collector would. */
async function collectAll(at: Scene, journal: Journal): Promise<void> {
  await unused(journal, readdirSync(join(at.path, 'bodies')))
}

function formatIn(path: string): number {
  const database = new Database(path, { readonly: true })
  const format = database.pragma('user_version', { simple: true }) as number
  database.close()
  return format
}

function schemaOf(path: string): readonly unknown[] {
  const database = new Database(path, { readonly: true })
  const schema = database.prepare('SELECT type, name, sql FROM sqlite_master ORDER BY type, name').all()
  database.close()
  return schema
}

describe.each(engines)('uploads in parts, in %s', engine => {
  test('an upload and its parts are seen by every process, in order, and survive', async () => {
    await using at = await scene(engine)
    const [one, two] = [await at.journal(), await at.journal()]
    const id = await begin(one, 'k')
    const third = await add(at, two, id, 3)
    const first = await add(at, one, id, 1)
    expect(two.upload(id)).toMatchObject({
      key: 'k',
      attributes: { contentType: 'video/mp4', metadata: { a: 'b' } },
      features: { s3: { ACL: 'private' } },
      checksum: { algorithm: 'CRC32', type: 'COMPOSITE' },
      damaged: false,
    })
    await two.close()
    await one.close()
    const journal = await at.journal()
    expect(named(journal.uploadedParts(id))).toEqual([
      [1, first.file],
      [3, third.file],
    ])
    expect(journal.uploadedParts(id)[0]).toMatchObject({ damaged: false, checksum: { algorithm: 'CRC32' } })
    expect(journal.counts().groups).toMatchObject([{ state: 'upload', writes: 2, bytes: 200 }])
    expect(await unused(journal, [first.file, third.file])).toEqual([])
  })

  test('a part that replaces another takes its place, and its file is trash', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const id = await begin(journal, 'k')
    const old = await add(at, journal, id, 1)
    const now = await add(at, journal, id, 1)
    expect(named(journal.uploadedParts(id))).toEqual([[1, now.file]])
    const lease = await journal.lease()
    expect(lease?.trash(10)).toEqual([{ file: old.file, to: 'unlink' }])
    expect(journal.counts().groups).toMatchObject([{ writes: 1, bytes: 100 }])
  })

  test('a part is refused where there is no upload, no file, or no room, and nothing changes', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const id = await begin(journal, 'k')
    const absent = { code: 'INVALID', field: 'upload', rule: 'absent', outcome: 'rejected' }
    const stray = published(at, uploadId(), 1)
    await expect(journal.addPart(stray)).rejects.toMatchObject(absent)
    const gone = { ...published(at, id, 1), file: 'f'.repeat(32) }
    await expect(journal.addPart(gone)).rejects.toMatchObject({ code: 'CORRUPT', field: 'directory', rule: 'body' })
    const large = published(at, id, 1, 1_001)
    await expect(journal.addPart(large)).rejects.toMatchObject({ code: 'NO_SPACE', field: 'maxStageBytes' })
    expect(journal.uploadedParts(id)).toEqual([])
    expect(journal.counts().groups).toEqual([])
    await collectAll(at, journal)
  })

  test('completing makes a write of the parts that are named, in one step, and the others are trash', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const id = await begin(journal, 'k')
    const [first, second, third] = [
      await add(at, journal, id, 1),
      await add(at, journal, id, 2),
      await add(at, journal, id, 3),
    ] as const
    // The stage is full: what is in it already needs no room.
    const { seq } = await journal.completeUpload(id, ofParts(at, 'k', [first, third], { maxStageBytes: 1 }))
    expect(journal.upload(id)).toBeUndefined()
    expect(journal.uploadedParts(id)).toEqual([])
    expect(journal.view('k').open).toMatchObject({
      seq,
      size: 200,
      damaged: false,
      keepsLayout: true,
      body: { in: 'parts', parts: [first, third] },
    })
    expect(journal.counts()).toMatchObject({ accepted: 1, groups: [{ state: 'open', writes: 1, bytes: 200 }] })
    const lease = await journal.lease()
    expect(lease?.trash(10)).toEqual([{ file: second.file, to: 'unlink' }])
    await lease?.end()
    expect(await unused(journal, [first.file, third.file])).toEqual([])
    const absent = { field: 'upload', rule: 'absent' }
    await expect(journal.completeUpload(id, ofParts(at, 'k', [first]))).rejects.toMatchObject(absent)
    await expect(journal.addPart(published(at, id, 4))).rejects.toMatchObject(absent)
    expect(await journal.dropUpload(id)).toBe(false)
    expect(journal.counts().accepted).toBe(1)
    await collectAll(at, journal)
  })

  test('completing with a part that was uploaded anew is refused, and nothing changes', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const id = await begin(journal, 'k')
    const old = await add(at, journal, id, 1)
    const second = await add(at, journal, id, 2)
    const stale = ofParts(at, 'k', [old, second])
    await add(at, journal, id, 1)
    await expect(journal.completeUpload(id, stale)).rejects.toMatchObject({ field: 'upload', rule: 'changed' })
    expect(journal.uploadedParts(id)).toHaveLength(2)
    expect(journal.view('k').open).toBeUndefined()
    expect(journal.counts()).toMatchObject({ accepted: 0, groups: [{ state: 'upload', writes: 2 }] })
  })

  test('a conditional one that is refused or withdrawn gives the upload back as it was; one that is kept ends it', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await journal.lease()
    if (lease === undefined) throw new Error('nobody else has it')
    const id = await begin(journal, 'k')
    const parts = [await add(at, journal, id, 1), await add(at, journal, id, 2)]
    const spare = await add(at, journal, id, 3)
    const before = named(journal.uploadedParts(id))
    const tentative = () => journal.completeUpload(id, ofParts(at, 'k', parts, { condition: 'absent' }))

    const one = await tentative()
    expect(journal.upload(id)).toBeUndefined()
    expect(journal.uploadedParts(id)).toEqual([])
    expect(await journal.dropUpload(id)).toBe(false)
    expect(await lease.dropUploads(Date.now() + 1_000_000)).toEqual([])
    expect(journal.write(one.seq)).toMatchObject({ state: 'tentative', damaged: false, body: { in: 'parts', parts } })
    expect(await journal.withdraw(one.seq)).toBe(true)
    expect(named(journal.uploadedParts(id))).toEqual(before)

    const two = await tentative()
    await lease.sending(two.seq, 1)
    const refusal = { code: 'PRECONDITION' as const, message: 'it is there', outcome: 'rejected' as const }
    await lease.decide(two.seq, { kept: false, refusal })
    expect(journal.write(two.seq)).toMatchObject({ state: 'refused', size: 0, damaged: false, body: { in: 'none' } })
    expect(named(journal.uploadedParts(id))).toEqual(before)
    expect(lease.trash(10)).toEqual([])

    const three = await tentative()
    await lease.sending(three.seq, 1)
    await lease.decide(three.seq, { kept: true, provider: 1, evidence: evidence() })
    expect(journal.view('k').open).toMatchObject({ seq: three.seq, body: { in: 'parts', parts } })
    expect(journal.upload(id)).toBeUndefined()
    expect(lease.trash(10)).toEqual([{ file: spare.file, to: 'unlink' }])
  })

  test('a write in parts that is released or superseded lists all its files as trash, and is never cached', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await journal.lease()
    const files: string[] = []
    for (const key of ['released', 'superseded']) {
      const id = await begin(journal, key)
      const parts = [await add(at, journal, id, 1), await add(at, journal, id, 2)]
      files.push(...parts.map(({ file }) => file))
      const { seq } = await journal.completeUpload(id, ofParts(at, key, parts))
      if (key === 'superseded') await journal.accept(write(key))
      for (const provider of [1, 2]) {
        await lease?.stored(seq, provider, evidence())
        await lease?.verified(seq, provider)
      }
      await lease?.release([{ seq, cache: true }])
    }
    expect(journal.view('released').cached).toBeUndefined()
    expect(lease?.trash(10).map(({ file, to }) => `${file} ${to}`)).toEqual(
      files.toSorted().map(file => `${file} unlink`),
    )
  })

  test('uploads that nobody added to are dropped, those in use are not', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const now = Date.now()
    const idle = await begin(journal, 'idle', now - 1_000)
    const used = await begin(journal, 'used', now - 1_000)
    const part = await add(at, journal, used, 1)
    const lease = await journal.lease()
    expect(await lease?.dropUploads(now - 500)).toEqual([idle])
    expect(journal.uploads('').map(({ key }) => key)).toEqual(['used'])
    expect(await lease?.dropUploads(now + 10_000)).toEqual([used])
    expect(lease?.trash(10)).toEqual([{ file: part.file, to: 'unlink' }])
    expect(journal.counts().groups).toEqual([])
  })
})

test('flipped bits in the rows of uploads and parts are known (I7)', async () => {
  await using at = await scene()
  const journal = await at.journal()
  const id = await begin(journal, 'k')
  const parts = [await add(at, journal, id, 1), await add(at, journal, id, 2)]
  const database = new Database(join(at.path, 'journal.sqlite'))
  const flip = (sql: string, check: () => boolean | undefined) => {
    database.exec('SAVEPOINT before')
    database.exec(sql)
    database.exec('RELEASE before')
    expect(check(), sql).toBe(true)
  }
  expect(journal.upload(id)?.damaged).toBe(false)
  flip("UPDATE uploads SET key = 'j'", () => journal.upload(id)?.damaged)
  flip("UPDATE uploads SET key = 'k'", () => journal.upload(id)?.damaged === false)
  flip('UPDATE parts SET size = 101 WHERE number = 1', () => journal.uploadedParts(id)[0]?.damaged)
  flip('UPDATE parts SET size = 100 WHERE number = 1', () => journal.uploadedParts(id)[0]?.damaged === false)
  const { seq } = await journal.completeUpload(id, ofParts(at, 'k', parts))
  const second = parts[1]?.file
  // What was read is remembered: another process sees it anew.
  database.exec(`UPDATE parts SET number = 3 - number + 10 WHERE seq = ${seq}`)
  expect((await at.journal()).write(seq)?.damaged).toBe(true)
  database.exec(`UPDATE parts SET number = 3 - (number - 10) WHERE seq = ${seq}`)
  expect((await at.journal()).write(seq)).toMatchObject({ damaged: false })
  database.exec(`UPDATE parts SET file = '${'0'.repeat(32)}' WHERE file = '${second}'`)
  expect((await at.journal()).write(seq)?.damaged).toBe(true)
  database.exec(`UPDATE parts SET file = '${second}' WHERE file = '${'0'.repeat(32)}'`)
  database.close()
})

test('a journal of format 1 is taken over as it is, in one step, once no older version has it open', async () => {
  await using at = await scene()
  const fresh = await at.journal()
  const { directory } = fresh
  await fresh.close()
  const journalPath = join(at.path, 'journal.sqlite')
  const schema = schemaOf(journalPath)
  for (const suffix of ['', '-wal', '-shm']) rmSync(journalPath + suffix, { force: true })
  const file = 'a'.repeat(32)
  const large = randomBytes(200)
  writeFileSync(join(at.path, 'bodies', file), large, { mode: 0o600 })
  makeFormat1(journalPath, directory, [
    { key: 'small', version: `${'0'.repeat(31)}1`, bytes: Buffer.from('small') },
    { key: 'large', version: `${'0'.repeat(31)}2`, bytes: large, file },
  ])
  chmodSync(journalPath, 0o600)

  const older = fileLock(join(at.path, 'members.lock'))
  expect(older.share()).toBe(true)
  await expect(at.open()).rejects.toMatchObject({ code: 'UNAVAILABLE', field: 'journal', rule: 'version' })
  older.release()
  expect(formatIn(journalPath)).toBe(1)

  const journals = await Promise.all(Array.from({ length: 8 }, () => at.journal()))
  expect(formatIn(journalPath)).toBe(3)
  for (const journal of journals) {
    expect(journal.view('small').open).toMatchObject({ damaged: false, keepsLayout: false, body: { in: 'row' } })
    expect(journal.view('large').open).toMatchObject({ damaged: false, body: { in: 'file', file } })
    expect(journal.counts()).toMatchObject({ accepted: 2 })
  }
  const [journal] = journals as [Journal, ...Journal[]]
  const id = await begin(journal, 'k')
  const part = await add(at, journal, id, 1)
  await journal.completeUpload(id, ofParts(at, 'k', [part]))
  expect(journal.view('k').open).toMatchObject({ damaged: false })
  expect(schemaOf(journalPath)).toEqual(schema)
}, 20_000)
