import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, type TestDirectory, testDirectory } from '../support/store.ts'

const large = Buffer.alloc(50_000, 'large')
const small = Buffer.alloc(1_000, 'small')

/** The keys are put; the first provider has them, the others do not, and the bodies on local disk are damaged. The store is closed. */
async function damaged(directory: TestDirectory, bodies: Readonly<Record<string, Buffer>>, mirrors = 0) {
  const faults: Faults[] = Array.from({ length: 2 + mirrors }, () => ({}))
  const [a, b, ...more] = faults.map((of, n) => faulty(memory({ name: 'abc'.charAt(n) }), of))
  if (a === undefined || b === undefined) throw new Error('no providers')
  for (const of of faults.slice(1))
    of.rules = [{ on: 'put', key: /^[^.]/, fault: { kind: 'fail', code: 'UNAVAILABLE', reason: 'NETWORK' } }]
  const store = await directory.open([a, b, ...more])
  for (const [key, body] of Object.entries(bodies)) await store.put(key, body, { ack: 'one' })
  await store.close()
  for (const of of faults) of.rules = []
  return { providers: [a, b, ...more] as const, faults }
}

function flip(directory: TestDirectory): void {
  const tree = join(directory.path, 'bodies')
  for (const file of readdirSync(tree)) {
    const bytes = readFileSync(join(tree, file))
    bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)
    writeFileSync(join(tree, file), bytes)
  }
}

/** What became of it, in the words of its events. */
function heard(store: Holdfast): string[] {
  const told: string[] = []
  store.on('restored', ({ key, from }) => void told.push(`restored ${key} from ${from}`))
  store.on('blocked', ({ key, provider, reason }) => void told.push(`blocked ${key} at ${provider}: ${reason}`))
  return told
}

test('a body that was damaged on local disk is fetched anew from a provider that has it, and goes on to the others (D10, I3, I7, I10, I20)', async () => {
  await using directory = await testDirectory()
  const { providers } = await damaged(directory, { large, small })
  flip(directory)
  const database = new Database(join(directory.path, 'journal.sqlite'))
  database.prepare('UPDATE writes SET body = ? WHERE body IS NOT NULL').run(Buffer.alloc(1_000, 'other'))
  database.close()
  const store = await directory.open(providers)
  const told = heard(store)
  await store.drain({ until: 'verified' })
  expect(told.toSorted()).toEqual(['restored large from a', 'restored small from a'])
  expect(await bodyAt(providers[1], 'large')).toEqual(large)
  expect(await bodyAt(providers[1], 'small')).toEqual(small)
})

test('a body in parts that was damaged is fetched as a whole, and its object keeps the parts that it was uploaded in (D10)', async () => {
  await using directory = await testDirectory()
  const { providers, faults } = await damaged(directory, {})
  const [, second = {}] = faults
  second.rules = [{ on: 'put', key: 'k', fault: { kind: 'fail', code: 'UNAVAILABLE', reason: 'NETWORK' } }]
  const before = await directory.open(providers)
  const { id } = await before.uploads.create('k')
  const parts = [Buffer.alloc(5 * 2 ** 20, 'one'), Buffer.alloc(3_000, 'two')]
  const chosen = []
  for (const [n, part] of parts.entries()) {
    const { etag } = await before.uploads.putPart(id, n + 1, part)
    chosen.push({ number: n + 1, etag })
  }
  const { etag } = await before.uploads.complete(id, chosen, { ack: 'one' })
  await before.close()
  second.rules = []
  flip(directory)
  const store = await directory.open(providers)
  const told = heard(store)
  await store.drain({ until: 'verified' })
  expect(told).toEqual(['restored k from a'])
  expect((await bodyAt(providers[1], 'k'))?.equals(Buffer.concat(parts))).toBe(true)
  expect((await store.head('k'))?.etag).toBe(etag)
})

test('where no provider gives the right bytes the damaged body stays, blocked as LOCAL_CORRUPT, until one does (D10, I7, I14, I20, I22)', async () => {
  await using directory = await testDirectory()
  const { providers, faults } = await damaged(directory, { large })
  flip(directory)
  const tree = join(directory.path, 'bodies')
  const files = readdirSync(tree)
  const [first = {}] = faults
  first.rules = [{ on: 'get', key: 'large', fault: { kind: 'corrupt', atByte: 7 } }]
  const store = await directory.open(providers)
  const told = heard(store)
  await eventually(() => told.length > 0)
  expect(told).toEqual(['blocked large at b: LOCAL_CORRUPT'])
  expect(await bodyAt(providers[1], 'large')).toBeUndefined()
  expect(readdirSync(tree)).toEqual(files)
  first.rules = [{ on: 'get', key: 'large', times: 1, fault: { kind: 'fail', code: 'UNAVAILABLE', reason: 'NETWORK' } }]
  await store.blocked.retry()
  await eventually(() => told.length > 1)
  expect(told).toEqual(['blocked large at b: LOCAL_CORRUPT', 'blocked large at b: LOCAL_CORRUPT'])
  await store.blocked.retry()
  await store.drain({ until: 'verified' })
  expect(told.slice(2)).toEqual(['restored large from a'])
  expect(await bodyAt(providers[1], 'large')).toEqual(large)
})

test('all that wait for one damaged body go on once it is fetched, from whoever has it (D10, I11)', async () => {
  await using directory = await testDirectory()
  const { providers } = await damaged(directory, { large }, 1)
  flip(directory)
  const store = await directory.open(providers)
  const told = heard(store)
  await store.drain({ until: 'verified' })
  expect(told).toEqual(['restored large from a'])
  for (const provider of providers) expect(await bodyAt(provider, 'large')).toEqual(large)
})

test('a damaged body whose key is written anew while it is fetched is not needed any more: the fetched one goes, and neither is blocked (D10, I12, I20)', async () => {
  await using directory = await testDirectory()
  const { providers, faults } = await damaged(directory, { large })
  flip(directory)
  const [first = {}] = faults
  const newer = Buffer.alloc(60_000, 'newer')
  let store: Holdfast | undefined
  const run = async () => void (await store?.put('large', newer))
  first.rules = [{ on: 'get', key: 'large', times: 1, fault: { kind: 'before', run } }]
  store = await directory.open(providers)
  const told = heard(store)
  await store.drain({ until: 'verified' })
  expect(first.calls?.filter(({ operation, key }) => operation === 'get' && key === 'large')).not.toEqual([])
  expect(told).toEqual([])
  for (const provider of providers) expect(await bodyAt(provider, 'large')).toEqual(newer)
})
