import { expect, test } from 'vitest'
import { suggestion } from '../../src/core/suggest.ts'

const names = ['bucket', 'prefix', 'partSize', 'maxStageBytes', 'key'] as const

test.each([
  ['a letter too many', 'bucckets', 'bucket'],
  ['a letter too few', 'buket', 'bucket'],
  ['two letters swapped', 'perfix', 'prefix'],
  ['other capitals', 'PARTSIZE', 'partSize'],
  ['the end left out', 'maxStage', 'maxStageBytes'],
  ['more after it', 'keyOfTheThing', 'key'],
  ['a short name', 'kye', 'key'],
])('a name with %s is recognised', (_what, written, meant) => {
  expect(suggestion(written, names)).toBe(`; did you mean ${meant}?`)
})

test.each([[''], ['x'], ['secretAccessKey'], ['__proto__'], ['bucket'.repeat(1000)]])(
  'for %j there is nothing near: all names are said',
  written => {
    expect(suggestion(written, names)).toBe(`; there are: ${names.join(', ')}`)
  },
)

test('where two are near, the nearer one is said', () => {
  expect(suggestion('regiom', ['regime', 'region'])).toBe('; did you mean region?')
})
