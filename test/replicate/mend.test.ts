import { expect, test } from 'vitest'
import { unpackMetadata } from '../../src/core/attributes.ts'
import { recognise } from '../../src/core/entry.ts'
import { markerKey } from '../../src/core/key.ts'
import { foreignVersion, makeVersion } from '../../src/core/version.ts'
import { memory } from '../../src/providers/memory.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually } from '../support/store.ts'
import { headAt, mending, putAt } from './mending.ts'

const version = (n: number) => makeVersion(1_700_000_000_000 + n, 0, '00000000000000aa')
const object = (of: string, source = 1) => ({ is: 'object', version: of, source }) as const
const down = [{ fault: { kind: 'fail', code: 'UNAVAILABLE', reason: 'SERVER' } }] as const
const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

test('a copy that a provider lacks is brought there with its version, and its source is only read (I22)', async () => {
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  const [a, b] = [faulty(inner, faults), memory({ name: 'b' })]
  await using at = await mending([a, b])
  await putAt(inner, 'k', 'bytes', { version: version(1), metadata: { color: 'red' } })
  await expect(at.mend({ key: 'k', wanted: object(version(1)), targets: [2] })).resolves.toEqual({
    is: 'queued',
    bytes: 5,
  })
  expect(at.repairs()).toEqual({ writes: 1, bytes: 5 })
  at.replicate()
  await eventually(() => at.repairs().writes === 0)
  const copy = await headAt(b, 'k')
  expect(copy && recognise(copy)).toMatchObject({ whose: 'ours', version: version(1) })
  expect(copy?.headers).toMatchObject({ contentType: 'text/plain', cacheControl: 'max-age=60' })
  expect(copy && { ...unpackMetadata(copy.metadata) }).toEqual({ color: 'red' })
  expect(String(await bodyAt(b, 'k'))).toBe('bytes')
  expect(
    faults.calls?.filter(({ operation, key }) => key === 'k' && operation !== 'get' && operation !== 'head'),
  ).toEqual([])
  expect(at.journal.counts()).toMatchObject({ accepted: 0, done: 0 })
})

test('a foreign object is mirrored under its own version, with what it has, and its source is not touched (I17)', async () => {
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  await using at = await mending([a, b])
  // Metadata of ours that came along with a copy says nothing of these bytes, and is not taken along.
  await putAt(a, 'k', 'theirs', { metadata: { owner: 'ann', holdfast: 'nonsense' } })
  const before = await headAt(a, 'k')
  const own = foreignVersion(before?.modifiedAt ?? new Date())
  await expect(at.mend({ key: 'k', wanted: object(own), targets: [2] })).resolves.toMatchObject({ is: 'queued' })
  at.replicate()
  await eventually(() => at.repairs().writes === 0)
  const { serverTime: _, ...after } = (await headAt(a, 'k')) ?? {}
  expect(before).toMatchObject(after)
  const mirror = await headAt(b, 'k')
  expect(mirror && recognise(mirror)).toMatchObject({ whose: 'ours', version: own })
  expect(mirror && { ...unpackMetadata(mirror.metadata) }).toEqual({ owner: 'ann' })
})

test('a foreign object is left where foreign is report, and that is said', async () => {
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  await using at = await mending([a, b], { mirrorsForeign: false })
  await putAt(a, 'k', 'theirs')
  const found = await headAt(a, 'k')
  const wanted = object(foreignVersion(found?.modifiedAt ?? new Date()))
  await expect(at.mend({ key: 'k', wanted, targets: [2] })).resolves.toMatchObject({ is: 'impossible' })
  expect(at.repairs().writes).toBe(0)
})

test('two objects written past Holdfast in the same moment become the one that was chosen', async () => {
  const clock = manualClock()
  const [a, b] = [memory({ name: 'a', clock }), memory({ name: 'b', clock })]
  await using at = await mending([a, b])
  await putAt(a, 'k', 'chosen')
  await putAt(b, 'k', 'other')
  const own = foreignVersion(new Date(clock.now()))
  await at.mend({ key: 'k', wanted: object(own), targets: [2] })
  at.replicate()
  await eventually(() => at.repairs().writes === 0)
  expect(String(await bodyAt(b, 'k'))).toBe('chosen')
})

test('a delete is brought to a provider that was not told: marker there, older object gone, newer object left (I12, I16)', async () => {
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  await using at = await mending([a, b])
  await putAt(b, 'old', 'x', { version: version(1) })
  await putAt(b, 'new', 'x', { version: version(9) })
  for (const key of ['old', 'new']) {
    await expect(at.mend({ key, wanted: { is: 'delete', version: version(5) }, targets: [2] })).resolves.toEqual({
      is: 'queued',
      bytes: 0,
    })
    expect(at.journal.view(key).deleted).toBe(version(5))
  }
  at.replicate()
  await eventually(() => at.repairs().writes === 0)
  expect(await bodyAt(b, 'old')).toBeUndefined()
  expect(String(await bodyAt(b, 'new'))).toBe('x')
  const marker = await headAt(b, markerKey('old'))
  expect(marker && recognise(marker).version).toBe(version(5))
  // The same delete once more, for another provider: that this directory remembers it is no reason against it.
  await expect(
    at.mend({ key: 'old', wanted: { is: 'delete', version: version(5) }, targets: [1] }),
  ).resolves.toMatchObject({ is: 'queued' })
  await eventually(() => at.repairs().writes === 0)
  expect(await headAt(a, markerKey('old'))).toBeDefined()
  await expect(at.mend({ key: 'old', wanted: { is: 'delete', version: version(4) }, targets: [1] })).resolves.toEqual({
    is: 'settled',
  })
  expect(at.journal.counts()).toMatchObject({ accepted: 0 })
})

test('a copy whose bytes are not what its entry says is no source: nothing is queued (I22)', async () => {
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  const [a, b] = [faulty(inner, faults), memory({ name: 'b' })]
  await using at = await mending([a, b])
  await putAt(inner, 'k', 'x'.repeat(50_000), { version: version(1) })
  faults.rules = [{ on: 'get', fault: { kind: 'corrupt', atByte: 30_000 } }]
  await expect(at.mend({ key: 'k', wanted: object(version(1)), targets: [2] })).resolves.toMatchObject({
    is: 'impossible',
    why: expect.stringContaining('not the bytes'),
  })
  expect(at.journal.counts().groups).toEqual([])
  // Other bytes under an old entry.
  faults.rules = []
  await putAt(inner, 'cut', 'whole', { version: version(1) })
  const entry = (await headAt(inner, 'cut'))?.metadata ?? {}
  await putAt(inner, 'cut', 'cut', { metadata: entry })
  await expect(at.mend({ key: 'cut', wanted: object(version(1)), targets: [2] })).resolves.toMatchObject({
    is: 'impossible',
    why: expect.stringContaining('entry'),
  })
  expect(at.journal.counts().groups).toEqual([])
})

test('what changed since it was compared is settled: written, deleted here, deleted there, overwritten at the source (I13)', async () => {
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  await using at = await mending([a, b])
  for (const key of ['marked', 'newer', 'gone']) await putAt(a, key, 'x', { version: version(1) })
  await putAt(b, markerKey('marked'), '{}', { version: version(2) })
  await putAt(a, 'newer', 'y', { version: version(3) })
  for (const key of ['marked', 'newer'])
    await expect(at.mend({ key, wanted: object(version(1)), targets: [2] }), key).resolves.toEqual({ is: 'settled' })
  await at.mend({ key: 'gone', wanted: { is: 'delete', version: version(2) }, targets: [2] })
  await expect(at.mend({ key: 'gone', wanted: object(version(1)), targets: [2] })).resolves.toEqual({ is: 'settled' })
  // Gone at the source: by a delete, or nobody knows why.
  await expect(at.mend({ key: 'lost', wanted: object(version(1)), targets: [2] })).resolves.toMatchObject({
    is: 'impossible',
  })
  await putAt(a, markerKey('lost'), '{}', { version: version(1) })
  await expect(at.mend({ key: 'lost', wanted: object(version(1)), targets: [2] })).resolves.toEqual({ is: 'settled' })
  expect(at.repairs().writes).toBe(1)
})

test('a version from the future is not followed, and is said to be impossible (CLOCK)', async () => {
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  await using at = await mending([a, b])
  const ahead = makeVersion(Date.now() + 86_400_000, 0, '00000000000000aa')
  await putAt(a, 'k', 'x', { version: ahead })
  for (const wanted of [object(ahead), { is: 'delete', version: ahead } as const])
    await expect(at.mend({ key: 'k', wanted, targets: [2] })).resolves.toMatchObject({ is: 'impossible' })
  expect(at.journal.counts().groups).toEqual([])
})

test('what a target could never hold is impossible before a byte moves', async () => {
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  const roomy = memory({ name: 'b' })
  const small = { ...roomy, limits: { ...roomy.limits, objectBytes: 4 } }
  const picky = { ...memory({ name: 'c' }), refuseKey: () => ({ rule: 'length', message: 'is too long' }) }
  await using at = await mending([faulty(inner, faults), small, picky])
  await putAt(inner, 'k', 'bytes', { version: version(1) })
  for (const [target, why] of [
    [2, 'takes objects of 4 bytes'],
    [3, 'cannot hold this key: it is too long'],
  ] as const)
    await expect(at.mend({ key: 'k', wanted: object(version(1)), targets: [target] })).resolves.toMatchObject({
      is: 'impossible',
      why: expect.stringContaining(why),
    })
  expect(faults.calls?.some(({ operation, key }) => operation === 'get' && key === 'k')).toBe(false)
})

test('repairs wait where they hold a quarter of the stage, a larger one has it alone, and a signal ends the waiting at once', async () => {
  const faults: Faults = { rules: down }
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  await using at = await mending([a, faulty(b, faults)], { maxStageBytes: 400_000 })
  const keys = Array.from({ length: 6 }, (_, n) => `k${n}`)
  for (const key of keys) await putAt(a, key, Buffer.alloc(key === 'k5' ? 150_000 : 40_000, 1), { version: version(1) })
  faults.rules = []
  const begun = keys.map(key => at.mend({ key, wanted: object(version(1)), targets: [2] }))
  await pause(300)
  expect(at.repairs().bytes).toBe(80_000)
  const stop = new AbortController()
  const ended = at.mend({ key: 'k0', wanted: object(version(1)), targets: [2] }, stop.signal)
  stop.abort(new Error('enough'))
  await expect(ended).rejects.toThrow('enough')
  let most = 0
  const stopLooking = at.journal.onChange(() => (most = Math.max(most, at.repairs().bytes)))
  at.replicate()
  await expect(Promise.all(begun)).resolves.toHaveLength(6)
  await eventually(() => at.repairs().writes === 0)
  stopLooking()
  // The large one came when nothing else was there.
  expect(most).toBe(150_000)
  for (const key of keys) expect(await bodyAt(b, key), key).toBeDefined()
})

test('a full stage is waited for, not failed on (I31)', async () => {
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  await using at = await mending([a, b], { maxStageBytes: 100_000 })
  await putAt(a, 'k', Buffer.alloc(20_000, 1), { version: version(1) })
  const { seq } = await at.journal.accept({
    key: 'app',
    kind: 'put',
    origin: 'app',
    version: undefined,
    stampMs: Date.now(),
    condition: 'absent',
    size: 90_000,
    crc32c: '00000000',
    md5: '0'.repeat(32),
    attributes: { contentType: 'text/plain', metadata: {} },
    body: { in: 'none' },
    providers: [1],
    maxStageBytes: 100_000,
  })
  let isDone = false
  const begun = at.mend({ key: 'k', wanted: object(version(1)), targets: [2] }).then(answer => {
    isDone = true
    return answer
  })
  await pause(300)
  expect(isDone).toBe(false)
  await at.journal.withdraw(seq)
  await expect(begun).resolves.toMatchObject({ is: 'queued' })
})

test('a provider that cannot be asked rejects, and nothing is queued', async () => {
  const faults: Faults = { rules: down }
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  await putAt(a, 'k', 'x', { version: version(1) })
  for (const providers of [
    [faulty(a, faults), b],
    [a, faulty(b, faults)],
  ] as const) {
    await using at = await mending(providers)
    await expect(at.mend({ key: 'k', wanted: object(version(1)), targets: [2] })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
    expect(at.journal.counts().groups).toEqual([])
  }
})
