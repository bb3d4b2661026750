import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { engines, scene, write } from './scene.ts'

test.each(engines)(
  'the file of one write is never put in the place of the damaged body of another: nothing is changed, and the journal goes on (%s, I20)',
  async engine => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const lease = await journal.lease()
    const accepted = async (key: string, file: string) => {
      const bytes = Buffer.from(`the body of ${key}`)
      writeFileSync(join(at.path, 'bodies', file), bytes, { mode: 0o600 })
      const { seq } = await journal.accept(
        write(key, { size: bytes.byteLength, ...digestsOf(bytes), body: { in: 'file', file } }),
      )
      return seq
    }
    const [first, second] = ['1', '2'].map(digit => digit.repeat(32)) as [string, string]
    const [one, two] = [await accepted('one', first), await accepted('two', second)]
    await expect(lease?.restore(two, { in: 'file', file: first })).rejects.toMatchObject({
      code: 'CORRUPT',
      field: 'journal',
      rule: 'failed',
    })
    expect([one, two].map(seq => journal.write(seq)?.body)).toEqual([
      { in: 'file', file: first },
      { in: 'file', file: second },
    ])
    expect(lease?.trash(10)).toEqual([])
    expect(await lease?.restore(two, { in: 'row', bytes: Buffer.from('the body of two') })).toBe(true)
    expect(lease?.trash(10)).toEqual([{ file: second, to: 'unlink' }])
  },
)
