import { describe, expect, test } from 'vitest'
import { chanceOf } from './chance.ts'
import { differences, intended, outcomeOf } from './compare.ts'
import { runBoth } from './run.ts'
import { bucket, startSides } from './sides.ts'

// The comparison itself: what it finds, and that what is intended hides nothing else.

describe('two answers', () => {
  const answer = (output: Record<string, unknown>) => ({ output: { $metadata: { httpStatusCode: 200 }, ...output } })

  test('differ where a field has another value, is missing, or is one too many', () => {
    const plain = answer({ ETag: '"a"', Contents: [{ Key: 'a', Size: 1 }], Gone: 1 })
    const wrapped = answer({ ETag: '"b"', Contents: [{ Key: 'a', Size: 2 }], New: 1 })
    expect(differences('ListObjectsV2', { plain, wrapped })).toEqual([
      'output.ETag: plain "\\"a\\"", wrapped "\\"b\\""',
      'output.Contents.0.Size: plain 1, wrapped 2',
      'output.Gone: plain 1, wrapped nothing',
      'output.New: plain nothing, wrapped 1',
    ])
  })

  test('differ in name, code, fault, status and class of an error', async () => {
    const { NoSuchKey } = await import('@aws-sdk/client-s3')
    const failing = (httpStatusCode: number) =>
      outcomeOf(async () => {
        throw new NoSuchKey({ message: 'x', $metadata: { httpStatusCode } })
      })
    const both = { plain: await failing(404), wrapped: await failing(410) }
    expect(differences('GetObject', both)).toEqual(['error.$metadata.httpStatusCode: plain 404, wrapped 410'])
    const other = await outcomeOf(async () => {
      throw new TypeError('x')
    })
    expect(differences('GetObject', { ...both, wrapped: other }).join('\n')).toMatch(
      /isService: plain nothing, wrapped false/,
    )
  })

  test('are the same in what is intended, each time for a reason', () => {
    expect(intended.every(({ name, why }) => name !== '' && why.endsWith('.'))).toBe(true)
    const plain = answer({ LastModified: new Date(0), NextContinuationToken: 'a', Owner: { ID: 'x' } })
    const wrapped = answer({ LastModified: new Date(1), NextContinuationToken: 'b' })
    expect(differences('ListObjectsV2', { plain, wrapped })).toEqual([])
    // A token is not to be missing, nor a time to be a text.
    expect(differences('ListObjectsV2', { plain, wrapped: answer({ LastModified: 'now' }) })).toHaveLength(2)
  })

  test('have the checksum that was asked for', () => {
    const plain = answer({ ChecksumCRC32: 'AAAAAA==', ChecksumType: 'FULL_OBJECT' })
    expect(differences('GetObject', { plain, wrapped: answer({}) })).toEqual([
      'output.ChecksumCRC32: plain "AAAAAA==", wrapped nothing',
    ])
  })
})

test('one seed makes the same choices again', () => {
  const some = (seed: number): unknown[] => {
    const chance = chanceOf(seed)
    return Array.from({ length: 50 }, () => [
      chance.below(1_000),
      chance.one([1, 2, 3]),
      chance.bytes(9).toString('hex'),
    ])
  }
  expect(some(7)).toEqual(some(7))
  expect(some(7)).not.toEqual(some(8))
})

test('a client that answers one thing otherwise is found out', async () => {
  await using sides = await startSides()
  const { plain, wrapped } = sides.clients
  const wrong = new Proxy(wrapped, {
    get(target, name, receiver) {
      if (name !== 'send') return Reflect.get(target, name, receiver)
      return async (command: Parameters<typeof target.send>[0]) => {
        const answer = (await target.send(command)) as { AcceptRanges?: string }
        return answer.AcceptRanges === undefined ? answer : { ...answer, AcceptRanges: 'none' }
      }
    },
  })
  const found = await runBoth({ bucket, clients: { plain, wrapped: wrong }, seed: 5, calls: 60 })
  expect(found.differences.length).toBeGreaterThan(0)
  expect(found.differences.every(line => line.includes('output.AcceptRanges: plain "bytes", wrapped "none"'))).toBe(
    true,
  )
})
