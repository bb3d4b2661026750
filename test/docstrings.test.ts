import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { publicNames } from './house/docs.ts'
import { root } from './house/sources.ts'

// A docstring is a promise. Whether it is a good one only a reader can tell; whether it is there, and names units and failures, a test can.

interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>
}

const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
const entries = Object.values(exports)
  .filter(entry => typeof entry !== 'string')
  .map(entry => entry.default.replace('./dist/', 'src/').replace(/\.js$/, '.ts'))
const names = entries.flatMap(entry => publicNames(entry))

/** Names that say their unit. */
const saysUnit = /(Ms|Seconds|PerSecond|Days|[bB]ytes|[wW]rites|\.ms|[pP]ort|status|pid)$/

test.each(entries)('every name that %s exports says what it is', entry => {
  expect(missing(publicNames(entry).filter(({ kind }) => kind === 'name'))).toEqual([])
})

test('every method that users call or write has a docstring', () => {
  expect(missing(names.filter(({ kind, isCall }) => kind === 'member' && isCall))).toEqual([])
})

test('every option says what it does', () => {
  const options = names.filter(({ kind, name }) => kind === 'member' && /^\w*Options\./.test(name))
  expect(options.length).toBeGreaterThan(80)
  expect(missing(options)).toEqual([])
})

test('every number has a unit, in its name or above it', () => {
  expect(missing(names.filter(({ isNumber, name }) => isNumber && !saysUnit.test(name)))).toEqual([])
})

test('every optional number among the options says its default', () => {
  const silent = names
    .filter(({ name, isNumber }) => isNumber && /^\w*Options\.\w+$/.test(name))
    .filter(({ text, name }) => !/default/i.test(text ?? '') && !alwaysGiven.has(name))
  expect(silent.map(({ name, at }) => `${at} ${name}`)).toEqual([])
})

test('every method of a store and of a provider says how it fails', () => {
  const silent = names
    .filter(({ name, isCall }) => isCall && /^(Holdfast|Provider|Receipt|PutReceipt|StoredObject)\./.test(name))
    .filter(({ text }) => !/\b[A-Z_]{5,}\b|reject|throw|error|never|pure|as `/i.test(text ?? ''))
  expect(silent.map(({ name, at }) => `${at} ${name}`)).toEqual([])
})

/** Not optional. */
const alwaysGiven = new Set(['SignOptions.expiresInSeconds'])

function missing(of: typeof names): string[] {
  return of.filter(({ text }) => text === undefined || text === '').map(({ name, at }) => `${at} ${name}`)
}
