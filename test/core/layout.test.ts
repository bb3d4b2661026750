import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { etagOfParts, layoutOf, partsDigester, partSizeOf, pieces, runsOf } from '../../src/core/layout.ts'

const md5 = (bytes: Uint8Array | string): string => createHash('md5').update(bytes).digest('hex')

describe('the parts that an app uploaded', () => {
  test('are runs of equal ones, and pieces one after the other', () => {
    const runs = runsOf([5, 5, 5, 2])
    expect(runs).toEqual([
      { count: 3, bytes: 5 },
      { count: 1, bytes: 2 },
    ])
    expect([...pieces(runs)].map(({ start, end }) => [start, end])).toEqual([
      [0, 5],
      [5, 10],
      [10, 15],
      [15, 17],
    ])
    expect(runsOf([])).toEqual([])
  })

  test.each([
    [[5], 5, 1],
    [[5, 5], 5, 2],
    [[5, 5, 2], 5, 3],
    [[5, 7], 0, 2],
    [[5, 2, 2], 0, 3],
    [[0], 0, 1],
    [[5, 5, 0], 5, 3],
  ])('of %o bytes are told by an entry as %i', (sizes, partSize, count) => {
    const parts = runsOf(sizes)
    const etag = `${md5('x')}-${count}`
    expect(partSizeOf({ etag, parts })).toBe(partSize)
    const size = sizes.reduce((sum, each) => sum + each, 0)
    const known = layoutOf(etag, size, partSize)
    expect(known.etag).toBe(etag)
    expect(known.parts).toEqual(partSize === 0 && count > 1 ? [] : parts)
    expect(partSizeOf({ etag: md5('x'), parts: [{ count: 1, bytes: size }] })).toBeUndefined()
  })

  test('are none where an entry tells of another number of them than its sizes make', () => {
    for (const count of [1, 2, 5]) expect(layoutOf(`${md5('x')}-${count}`, 12, 5).parts).toEqual([])
    expect(layoutOf('', 12, 5).parts).toEqual(runsOf([5, 5, 2]))
    expect(layoutOf('', 0, 5).parts).toEqual(runsOf([0]))
  })

  test('have the ETag of S3, however the bytes come', () => {
    const body = Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 7) & 255))
    for (const sizes of [[1000], [300, 300, 300, 100], [1, 999], [500, 0, 500], [400, 400, 200]]) {
      const runs = runsOf(sizes)
      const wanted = etagOfParts([...pieces(runs)].map(({ start, end }) => md5(body.subarray(start, end))))
      for (const chunk of [1, 7, 300, 301, 1000]) {
        const digester = partsDigester(runs)
        for (let at = 0; at < body.length; at += chunk) digester.update(body.subarray(at, at + chunk))
        expect(digester.etag(), `${sizes.join(', ')} in chunks of ${chunk}`).toBe(wanted)
      }
    }
    expect(partsDigester([{ count: 1, bytes: 0 }]).etag()).toBe(etagOfParts([md5('')]))
    expect(etagOfParts([md5('a'), md5('b')])).toBe(`${md5(Buffer.from(md5('a') + md5('b'), 'hex'))}-2`)
  })
})
