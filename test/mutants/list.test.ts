import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { mutants } from './list.ts'

const root = join(import.meta.dirname, '..', '..')
const textOf = (file: string) => readFileSync(join(root, file), 'utf8')

test('each mutant can still be made, and names a test that there is (docs/testing.md)', () => {
  expect(mutants.length).toBeGreaterThanOrEqual(40)
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length)
  const stale = mutants.filter(({ file, find, becomes }) => textOf(file).split(find).length !== 2 || find === becomes)
  expect(stale.map(({ name, file }) => `${name}: its text is not in ${file} exactly once`)).toEqual([])
  const lost = mutants.filter(({ test: file, only = '' }) => !textOf(file).includes(only))
  expect(lost.map(({ name, test: file }) => `${name}: no such test in ${file}`)).toEqual([])
})
