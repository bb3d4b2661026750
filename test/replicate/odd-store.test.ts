import Database from 'better-sqlite3'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { makeVersion } from '../../src/core/version.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults, ProviderFault } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'
import { putAt } from './mending.ts'

const otherBytes: ProviderFault = { kind: 'fail', code: 'CHECKSUM', reason: 'DIGEST' }
const outside = { replication: { run: 'external' } } as const

test('of a write whose row in the journal was damaged nothing is sent, and it is blocked (I7)', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const accepting = await directory.open([a, b], outside)
  await accepting.put('k', 'body')
  const database = new Database(join(directory.path, 'journal.sqlite'))
  await accepting.close()
  const before: unknown = database.prepare('SELECT md5 FROM writes').pluck().get()
  database.prepare('UPDATE writes SET md5 = ?').run('0'.repeat(32))
  const replicating = await directory.open([a, b])
  const reasons = async () => (await replicating.status()).blocked.reasons
  await eventually(async () => (await reasons()).length === 2)
  expect((await reasons()).map(({ reason }) => reason)).toEqual(['LOCAL_CORRUPT', 'LOCAL_CORRUPT'])
  expect(await a.head('k', AbortSignal.timeout(5_000))).toBeUndefined()
  database.prepare('UPDATE writes SET md5 = ?').run(before)
  database.close()
})

test('a service that found other bytes is believed where the local ones are damaged: the write is blocked as that (I7)', async () => {
  await using directory = await testDirectory()
  const faults: Faults = {}
  const pair = [faulty(memory({ name: 'a' }), faults), memory({ name: 'b' })] as const
  const accepting = await directory.open([...pair], outside)
  const body = Buffer.alloc(100_000, 'body')
  await accepting.put('k', body)
  const bodies = join(directory.path, 'bodies')
  const file = join(bodies, readdirSync(bodies)[0] ?? '')
  faults.rules = [{ on: 'put', key: 'k', fault: otherBytes }]
  const bytes = readFileSync(file)
  bytes[50_000] = 0
  writeFileSync(file, bytes)
  await accepting.close()
  const store = await directory.open([...pair])
  await eventually(async () =>
    (await store.status()).blocked.reasons.some(
      ({ provider, reason }) => provider === 'a' && reason === 'LOCAL_CORRUPT',
    ),
  )
  writeFileSync(file, body)
})

/** `at` writes past Holdfast in between; once that was seen, `next` happens before it is looked at again. */
async function overtakenBy(next: (at: Provider) => Promise<unknown>): Promise<void> {
  await using directory = await testDirectory()
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  const store = await directory.open([faulty(inner, faults), memory({ name: 'b' })])
  const retries: string[] = []
  store.on('retry', ({ provider, reason, message }) => void retries.push(`${provider} ${reason} ${message}`))
  store.on('foreign', () => {
    faults.rules = [
      { on: 'head', key: 'k', times: 1, fault: { kind: 'before', run: async () => void (await next(inner)) } },
    ]
  })
  const theirs = async () => {
    await new Promise(resolve => setTimeout(resolve, 5))
    await putAt(inner, 'k', 'theirs')
  }
  faults.rules = [{ on: 'put', key: 'k', times: 1, fault: { kind: 'before', run: theirs } }]
  await store.put('k', 'ours')
  await store.drain({ until: 'verified' })
  expect(retries).toEqual([expect.stringMatching(/^a CONDITION what was written past Holdfast at a is there no more$/)])
  expect(String(await bodyAt(inner, 'k'))).toBe('ours')
}

test('what was written past Holdfast and is gone before it is taken in overtakes nothing (I17)', async () => {
  await overtakenBy(at => at.delete('k', undefined, AbortSignal.timeout(5_000)))
})

test('what was written past Holdfast and is an older write of ours before it is taken in overtakes nothing (I17)', async () => {
  await overtakenBy(at => putAt(at, 'k', 'old', { version: makeVersion(1_700_000_000_000, 0, '00000000000000aa') }))
})
