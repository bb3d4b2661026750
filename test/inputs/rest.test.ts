import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { checkFeatures } from '../../src/holdfast/input/features.ts'
import { checkEstimate } from '../../src/holdfast/input/fill.ts'
import { checkParts } from '../../src/holdfast/input/parts.ts'
import { memory } from '../../src/providers/memory.ts'
import { testDirectory } from '../support/store.ts'
import { refusalOf, rejectionOf } from './support.ts'

const providers = [memory({ name: 'a' }), memory({ name: 'b' })] as const

describe('limits that only a long input meets', () => {
  test('eleven tags', () => {
    const tags = Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`t${index}`, 'v']))
    const refusal = refusalOf(() => checkFeatures({ azure: { tags } }, providers))
    expect(refusal).toMatchObject({ code: 'INVALID', field: 'features.azure.tags', rule: 'tags' })
  })

  test('more runs of parts than an object has parts', () => {
    const runs = Array.from({ length: 10_001 }, (_, index) => ({ count: 1, bytes: index }))
    expect(refusalOf(() => checkParts(runs))).toMatchObject({ field: 'parts', rule: 'count' })
  })

  test('a price that is no number', () => {
    const refusal = refusalOf(() =>
      checkEstimate({ to: 'a', prices: { memory: { egressPerGB: '0.09' } } }, providers, ['b']),
    )
    expect(refusal).toMatchObject({ field: 'prices.memory.egressPerGB', rule: 'type' })
  })
})

test('a stream that cannot be read from is refused before anything of it', async () => {
  await using directory = await testDirectory()
  const store = await directory.open([...providers])
  const body = Readable.from([Buffer.from('bytes')])
  body.readable = false
  expect(await rejectionOf(() => store.put('k', body))).toMatchObject({ field: 'body', rule: 'ended' })
})
