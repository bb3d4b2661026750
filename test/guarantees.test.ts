import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { invariantsOf, tableEnd, tableOf, tableStart, testsByInvariant } from './house/guarantees.ts'

const path = 'docs/guarantees.md'

/** Of a journal that many machines share; there is none yet. */
const notYet = 'not yet: there is no journal that machines share'
const without: Readonly<Record<string, string>> = { I39: notYet, I40: notYet }

test('every invariant is held by a test that names it, and docs/guarantees.md says by which', () => {
  const page = readFileSync(path, 'utf8')
  const [before = '', rest = ''] = page.split(tableStart)
  const [, after = ''] = rest.split(tableEnd)
  const invariants = invariantsOf(page)
  expect(invariants.map(({ id }) => id)).toEqual(Array.from({ length: 48 }, (_, index) => `I${index + 1}`))
  const tests = testsByInvariant()
  const untested = invariants.filter(({ id }) => !tests.has(id) && without[id] === undefined)
  expect(untested).toEqual([])
  expect(Object.keys(without).filter(id => tests.has(id))).toEqual([])
  const wanted = `${before}${tableStart}\n\n${tableOf(invariants, tests, without)}\n\n${tableEnd}${after}`
  if (process.env['HOLDFAST_WRITE_GUARANTEES'] === '1') writeFileSync(path, wanted)
  expect(readFileSync(path, 'utf8')).toBe(wanted)
})

test('what a name says that speaks of several invariants is read as all of them', () => {
  // Its own name ends with none.
  expect(testsByInvariant().get('I26')).toContain('test/sim/sim.test.ts')
})
