import { expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { entryName, writeEntry } from '../../src/core/entry.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { makeVersion } from '../../src/core/version.ts'
import { openWith } from '../../src/holdfast/open.ts'
import { memory } from '../../src/providers/memory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'

function pair() {
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  return { faults, inner, a: faulty(inner, faults), b: memory({ name: 'b' }) }
}

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

/** Writes past Holdfast; with a version, as another node would. */
async function putPast(provider: Provider, key: string, text: string, version?: string): Promise<void> {
  const bytes = Buffer.from(text)
  const digests = digestsOf(bytes)
  const entry = { size: bytes.byteLength, crc32c: digests.crc32c, etag: digests.md5, partSize: undefined }
  await provider.put(
    {
      key,
      source: bytesSource(bytes, digests),
      headers: { contentType: 'text/plain' },
      metadata: version === undefined ? {} : { [entryName]: writeEntry(key, { version, ...entry }) },
      condition: undefined,
      upload: noMemo,
    },
    AbortSignal.timeout(5_000),
  )
}

test('a repair brings back nothing that was deleted, and finished, while its body was fetched (I13)', async () => {
  for (const who of ['this directory', 'another'] as const) {
    await using directory = await testDirectory()
    await using theirs = await testDirectory()
    const faults: Faults = {}
    const [a, innerB] = [memory({ name: 'a' }), memory({ name: 'b' })]
    const b = faulty(innerB, faults)
    const store = await directory.open([a, b])
    const other = who === 'another' ? await theirs.open([a, innerB]) : store
    await (await store.put('k', Buffer.alloc(300_000, 1))).replicated({ until: 'verified' })
    await eventually(async () => (await store.status()).done === 1)
    await a.delete('k', undefined, AbortSignal.timeout(1_000))
    const { promise: gate, resolve: open } = Promise.withResolvers<void>()
    // The first get is the read's, the second the repair's.
    faults.rules = [{ on: 'get', key: 'k', skip: 1, times: 1, fault: { kind: 'after', run: () => gate } }]
    faults.calls = []
    await (await store.get('k'))?.bytes()
    await eventually(
      () => faults.calls?.filter(({ operation, key }) => operation === 'get' && key === 'k').length === 2,
    )
    await (await other.delete('k')).replicated({ until: 'verified' })
    await eventually(
      async () => (await other.status()).pending.writes === 0 && (await other.status()).held.writes === 0,
    )
    open()
    await pause(700)
    await store.drain({ until: 'verified' })
    expect(await keysOf(a), who).toEqual([])
  }
}, 30_000)

test('a stamp from the future is followed neither by adopt nor by the repair of what was read (CLOCK)', async () => {
  for (const how of ['adopt', 'read'] as const) {
    await using directory = await testDirectory()
    const { a, b } = pair()
    const store = await directory.open([a, b])
    await putPast(b, 'ahead', 'x', makeVersion(Date.now() + 86_400_000, 0, '00000000000000aa'))
    if (how === 'adopt') await store.adopt('ahead')
    else await (await store.get('ahead'))?.text()
    await pause(300)
    await store.put('other', 'body')
    await store.drain()
  }
}, 30_000)

test('what is adopted from a provider whose clock is ahead of ours is taken in once', async () => {
  await using directory = await testDirectory()
  const faults: Faults = {}
  const inner = memory({ name: 'a', clock: { ...systemClock, now: () => Date.now() + 60_000 } })
  const [a, b] = [faulty(inner, faults), memory({ name: 'b' })]
  const store = await directory.open([a, b])
  let seen = 0
  store.on('foreign', () => seen++)
  const theirs = { kind: 'before' as const, run: () => putPast(inner, 'k', 'theirs') }
  faults.rules = [{ on: 'put', key: 'k', times: 1, fault: theirs }]
  await store.put('k', 'ours')
  await store.drain({ until: 'verified' })
  expect(seen).toBe(1)
  expect((await bodyAt(b, 'k'))?.toString()).toBe('theirs')
})

test('an object written past Holdfast whose bytes are not what its provider attests blocks its own key, and no other (I30)', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = pair()
  const store = await directory.open([a, b])
  const lost: boolean[] = []
  store.on('lease', ({ held }) => lost.push(!held))
  faults.rules = [
    { on: 'get', key: 'k', fault: { kind: 'corrupt', atByte: 0 } },
    {
      on: 'put',
      key: 'k',
      times: 1,
      fault: {
        kind: 'before',
        run: async () => {
          await pause(5)
          await putPast(inner, 'k', 'theirs')
        },
      },
    },
  ]
  await store.put('k', 'ours')
  await eventually(async () => (await store.status()).blocked.writes === 1)
  expect((await store.status()).blocked.reasons).toEqual([{ provider: 'a', reason: 'MISMATCH', writes: 1 }])
  await store.put('other', 'body', { ack: 'all' })
  expect(lost).not.toContain(true)
})

test('a put that waited while the wall clock was turned back asks for delete markers all the same (P12, I13, I41)', async () => {
  await using mine = await testDirectory()
  await using theirs = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const external = await mine.open([a, b], { replication: { run: 'external' } })
  await external.put('k', 'waiting')
  await external.close()
  await pause(5)
  const there = await theirs.open([a, b])
  await (await there.delete('k')).replicated({ until: 'verified' })
  const clock = { ...systemClock, now: () => Date.now() - 3_600_000 }
  const late = await openWith(
    { directory: mine.path, primary: a, secondary: b, holdMs: 0 },
    { clock, random: systemRandom, disk: nodeDisk },
  )
  await late.drain({ until: 'verified' })
  expect(await late.status()).toMatchObject({ superseded: 1, done: 0 })
  expect(await keysOf(a)).toEqual([])
  await late.close()
}, 30_000)
