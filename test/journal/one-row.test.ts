import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import type { NewWrite } from '../../src/journal/contract.ts'
import { engines, type Scene, scene, write } from './scene.ts'

/** A write whose body is published under this name. */
function inFile(at: Scene, key: string, file: string): NewWrite {
  const bytes = Buffer.from(`the body of ${key}`)
  writeFileSync(join(at.path, 'bodies', file), bytes, { mode: 0o600 })
  return write(key, { size: bytes.byteLength, ...digestsOf(bytes), body: { in: 'file', file } })
}

const [first, second] = ['1'.repeat(32), '2'.repeat(32)] as const
/** A fault of the program, not of the disk: the journal goes on. */
const refused = { code: 'CORRUPT', field: 'journal', rule: 'failed' }

describe.each(engines)('what is of one row is never given to another (%s)', engine => {
  test('the file of one write is not the body of another (I20)', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const { seq } = await journal.accept(inFile(at, 'one', first))
    await expect(journal.accept(inFile(at, 'one', first))).rejects.toMatchObject(refused)
    expect(journal.write(seq)).toMatchObject({ state: 'open', body: { in: 'file', file: first } })
    await journal.accept(inFile(at, 'two', second))
  })

  test('the file of one write is not put in the place of the damaged body of another, and nothing is changed (I20)', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await journal.lease()
    const one = await journal.accept(inFile(at, 'one', first))
    const two = await journal.accept(inFile(at, 'two', second))
    await expect(lease?.restore(two.seq, { in: 'file', file: first })).rejects.toMatchObject(refused)
    const bodies = [one, two].map(({ seq }) => journal.write(seq)?.body)
    expect(bodies).toEqual([
      { in: 'file', file: first },
      { in: 'file', file: second },
    ])
    expect(lease?.trash(10)).toEqual([])
    expect(await lease?.restore(two.seq, { in: 'row', bytes: Buffer.from('the body of two') })).toBe(true)
    expect(lease?.trash(10)).toEqual([{ file: second, to: 'unlink' }])
  })

  test('the id of one upload is not that of another', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const attributes = { contentType: 'text/plain', metadata: {} }
    const upload = { id: first, attributes, features: undefined, checksum: undefined, createdAt: Date.now() }
    await journal.beginUpload({ ...upload, key: 'one' })
    await expect(journal.beginUpload({ ...upload, key: 'two' })).rejects.toMatchObject(refused)
    expect(journal.upload(first)).toMatchObject({ key: 'one' })
    await journal.beginUpload({ ...upload, id: second, key: 'two' })
  })
})
