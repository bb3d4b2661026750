import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { writeEntry } from '../../src/core/entry.ts'
import { compareKeys, markerKey } from '../../src/core/key.ts'
import type { ListRequest, RemoteEntry } from '../../src/core/provider.ts'
import { versionTime } from '../../src/core/version.ts'
import type { ReplicaRow } from '../../src/journal/contract.ts'
import type { ListEntry, ListQuestion } from '../../src/read/types.ts'
import { outage } from '../../src/testing/faulty/rules.ts'
import { settle } from '../core/time.ts'
import { row, version, type World, world } from './world.ts'

const everything: ListRequest = { prefix: '', delimiter: '', startAfter: '' }

async function listed(w: World, request: Partial<ListQuestion> = {}, signal?: AbortSignal): Promise<ListEntry[]> {
  const entries: ListEntry[] = []
  const reading = (async () => {
    for await (const entry of w.reader.list({ ...everything, ...request }, signal)) entries.push(entry)
  })()
  await w.passing(reading)
  return entries
}

async function names(w: World, request: Partial<ListQuestion> = {}): Promise<string[]> {
  return (await listed(w, request)).map(nameOf)
}

const nameOf = (entry: ListEntry): string => (entry.type === 'prefix' ? entry.prefix : entry.key)

async function filled(keys: readonly string[]): Promise<World> {
  const w = world()
  for (const key of keys) for (const place of w.places) await w.store(place, key, 1, key)
  return w
}

test("one provider's listing, in the order of UTF-8 bytes, without what is Holdfast's own", async () => {
  const w = await filled(['b', 'a/1', 'a', '\u{1f600}', '\ue000', '.holdfast', '.holdfast0', 'é'])
  await w.mark(w.first, 'gone', 3)
  await w.store(w.first, '.holdfast/identity', 1, '{}')
  expect(await names(w)).toEqual(['.holdfast', '.holdfast0', 'a', 'a/1', 'b', 'é', '\ue000', '\u{1f600}'])
  expect(w.asked(w.second)).toBe(0)
  expect(await names(w, { prefix: '.holdfast/' })).toEqual([])
  expect(await names(w, { prefix: '.hold' })).toEqual(['.holdfast', '.holdfast0'])
  expect(await names(w, { delimiter: '/' })).not.toContain('.holdfast/')
  expect(await names(w, { delimiter: 'o' })).toContain('.ho')
})

test("a group that holds nothing but what is Holdfast's own is hidden, also where the delimiter cuts its name", async () => {
  const w = await filled(['a'])
  for (let i = 0; i < 50; i++) await w.mark(w.first, `gone/${i}`, 3)
  expect(await names(w, { delimiter: 'o' })).toEqual(['a'])
  expect(await names(w, { delimiter: '.' })).toEqual(['a'])
})

test('entries say what the provider says; what is owed to it says what it will have', async () => {
  const w = await filled(['a'])
  w.know('b', { open: row({ key: 'b', n: 2, body: 'local' }) })
  const [a, b] = await listed(w)
  expect(a).toMatchObject({ type: 'object', key: 'a', size: 1, etag: '0cc175b9c0f1b6a831c399e269772661' })
  expect(b).toEqual({
    type: 'object',
    key: 'b',
    size: 5,
    etag: 'f5ddaf0ca7929578b408c909429f68f2',
    modifiedAt: new Date(versionTime(version(2))),
    version: version(2),
  })
})

test('local puts are added and local deletes hidden, until the provider has them', async () => {
  const w = await filled(['kept', 'deleted', 'overwritten'])
  w.know('added', { open: row({ key: 'added', n: 2, body: 'x' }) })
  w.know('overwritten', { open: row({ key: 'overwritten', n: 2, body: '12345' }) })
  w.know('deleted', { open: row({ key: 'deleted', n: 2, kind: 'delete' }), deleted: version(2) })
  const entries = await listed(w)
  expect(entries.map(nameOf)).toEqual(['added', 'kept', 'overwritten'])
  expect(entries[2]).toMatchObject({ size: 5, version: version(2) })
})

test('what the provider should have and its listing does not show is asked of it, one key', async () => {
  const stored = { 1: 'stored', 2: 'waiting' } as const
  const w = await filled(['a', 'late-put', 'late-delete'])
  // Written between the page of the listing and the look at the journal.
  await w.first.inner.delete('late-put', undefined, new AbortController().signal)
  w.know('late-put', { open: row({ key: 'late-put', n: 2, body: 'x', at: stored }) })
  w.know('late-delete', { open: row({ key: 'late-delete', n: 2, kind: 'delete', at: stored }), deleted: version(2) })
  w.first.faults.rules = [
    { on: 'list', fault: { kind: 'after', run: async () => {} } },
    {
      on: 'head',
      key: 'late-put',
      times: 1,
      fault: { kind: 'before', run: () => w.store(w.first, 'late-put', 2, 'x') },
    },
  ]
  expect(await names(w)).toEqual(['a', 'late-put'])
  expect(w.first.faults.calls?.filter(({ operation }) => operation === 'head').map(({ key }) => key)).toEqual([
    'late-delete',
    'late-put',
  ])
})

test('a put makes a group, and a group whose keys are all deleted here vanishes', async () => {
  const w = await filled(['a/1', 'a/2', 'b/1', 'c'])
  const deleted = (key: string) => w.know(key, { open: row({ key, n: 2, kind: 'delete' }), deleted: version(2) })
  w.know('new/x', { open: row({ key: 'new/x', n: 2, body: 'x' }) })
  deleted('a/1')
  expect(await names(w, { delimiter: '/' })).toEqual(['a/', 'b/', 'c', 'new/'])
  deleted('a/2')
  expect(await names(w, { delimiter: '/' })).toEqual(['b/', 'c', 'new/'])
  w.know('a/3', { open: row({ key: 'a/3', n: 3, body: 'x' }) })
  expect(await names(w, { delimiter: '/' })).toEqual(['a/', 'b/', 'c', 'new/'])
  expect(await names(w, { delimiter: '/', prefix: 'a/' })).toEqual(['a/3'])
})

test('a provider that fails is left for the next; nobody left is UNAVAILABLE with every reason', async () => {
  const w = await filled(['a', 'b'])
  w.first.faults.rules = [{ fault: outage }]
  expect(await names(w)).toEqual(['a', 'b'])
  w.second.faults.rules = [{ fault: { kind: 'fail', code: 'DENIED', reason: 'ACCOUNT', message: 'second: closed' } }]
  await expect(listed(w)).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(/first.*closed/),
  })
})

test('a provider whose first entry does not come in time is left for the next', async () => {
  const w = await filled(['a', 'b'])
  w.first.faults.rules = [{ on: 'list', fault: { kind: 'hang' } }]
  expect(await names(w)).toEqual(['a', 'b'])
  expect(w.clock.monotonic()).toBe(2000)
  expect(w.clock.sleeping).toBe(0)
})

test('a listing that breaks, stalls or loses its order goes on at the next provider after the last entry', async () => {
  const keys = Array.from({ length: 100 }, (_, i) => `k${String(i).padStart(3, '0')}`)
  for (const fault of [
    { kind: 'cut', after: 40 },
    { kind: 'stall', after: 40 },
  ] as const) {
    const w = await filled(keys)
    w.first.faults.rules = [{ on: 'list', fault }]
    expect(await names(w)).toEqual(keys)
  }
  const w = await filled(keys)
  const list = w.first.inner.list
  w.first.inner.list = async function* (request, signal) {
    let count = 0
    for await (const entry of list(request, signal)) {
      yield count++ === 40 ? { type: 'prefix', prefix: 'a' } : entry
    }
  }
  expect(await names(w)).toEqual(keys)
})

test('a listing that goes on elsewhere in the middle of a group does not give the group again', async () => {
  const keys = ['a/1', 'a/2', 'b/1', 'b/2', 'c']
  for (let after = 0; after < 3; after++) {
    const w = await filled(keys)
    w.first.faults.rules = [{ on: 'list', fault: { kind: 'cut', after } }]
    expect(await names(w, { delimiter: '/' })).toEqual(['a/', 'b/', 'c'])
  }
})

test('who leaves the loop leaves the provider, and an abort ends the listing with its reason', async () => {
  const w = await filled(['a', 'b', 'c'])
  for await (const _ of w.reader.list(everything, undefined)) break
  await settle()
  expect(w.first.faults.calls?.at(-1)?.state).toBe('rejected')
  expect(w.providers[0]?.breakers.list.state).toBe('up')

  const reason = new Error('left')
  await expect(listed(w, {}, AbortSignal.abort(reason))).rejects.toBe(reason)
  w.first.faults.rules = [{ on: 'list', fault: { kind: 'stall', after: 1 } }]
  const controller = new AbortController()
  const reading = (async () => {
    for await (const entry of w.reader.list(everything, controller.signal)) if (nameOf(entry) !== 'a') return
  })()
  await settle()
  controller.abort(reason)
  await expect(reading).rejects.toBe(reason)
  expect(w.clock.sleeping).toBe(0)
})

test('many open keys in one group are gone through a page at a time', async () => {
  const w = await filled(['a/0000', 'z'])
  for (let i = 0; i < 2500; i++) {
    const key = `a/${String(i).padStart(4, '0')}`
    w.know(key, { open: row({ key, n: 2, kind: 'delete' }), deleted: version(2) })
  }
  expect(await names(w, { delimiter: '/' })).toEqual(['z'])
  expect(await names(w)).toEqual(['z'])
  w.know('a/2499', { open: row({ key: 'a/2499', n: 3, body: 'x' }) })
  expect(await names(w, { delimiter: '/' })).toEqual(['a/', 'z'])
})

// ---- against a model

type Here = 'nothing' | 'put' | 'delete'
interface Case {
  readonly key: string
  readonly here: Here
  /** By provider: whether it has the open write; whether it had an older object before. */
  readonly has: readonly [boolean, boolean]
  readonly before: boolean
}

const keyText = fc
  .array(fc.constantFrom('a', 'b', '/', '//', '.', '.holdfast', '\u{10ffff}', '\ue000', 'é', '😀', 'o'), {
    minLength: 1,
    maxLength: 5,
  })
  .map(parts => parts.join(''))

const cases: fc.Arbitrary<readonly Case[]> = fc.uniqueArray(
  fc.record({
    key: keyText.filter(key => !key.startsWith('.holdfast/')),
    here: fc.constantFrom<Here>('nothing', 'nothing', 'put', 'delete'),
    has: fc.tuple(fc.boolean(), fc.boolean()),
    before: fc.boolean(),
  }),
  { selector: ({ key }) => key, maxLength: 25 },
)

const requests: fc.Arbitrary<ListRequest> = fc.record({
  prefix: fc.oneof(fc.constant(''), fc.constantFrom('a', 'a/', '.', '/', '.h'), keyText),
  delimiter: fc.constantFrom('', '/', '/', 'o', '//', 'é'),
  startAfter: fc.oneof(fc.constant(''), keyText),
})

function modelOf(list: readonly Case[], { prefix, delimiter, startAfter }: ListRequest): string[] {
  const seen = new Set<string>()
  for (const { key, here, before } of list) {
    const isThere = here === 'put' || (here === 'nothing' && before)
    if (!isThere || !key.startsWith(prefix) || compareKeys(key, startAfter) <= 0) continue
    const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    seen.add(at < 0 ? key : key.slice(0, at + delimiter.length))
  }
  return [...seen].sort(compareKeys)
}

async function build(list: readonly Case[], markers: boolean): Promise<World> {
  const w = world({}, { breaker: { consecutive: 1000, leastCalls: 1000 } })
  for (const { key, here, has, before } of list) {
    for (const [index, place] of w.places.entries()) {
      const isDone = here !== 'nothing' && has[index] === true
      if (before && !isDone) await w.store(place, key, 1, 'old')
      if (isDone && here === 'put') await w.store(place, key, 2, 'newer')
      if (markers) await w.store(place, markerKey(key), 2, '{}')
    }
    if (here === 'nothing') continue
    const state = (done: boolean): ReplicaRow['state'] => (done ? 'stored' : 'waiting')
    const at = { 1: state(has[0]), 2: state(has[1]) }
    w.know(key, {
      open: row({ key, n: 2, kind: here, body: 'newer', at }),
      ...(here === 'delete' && { deleted: version(2) }),
    })
  }
  return w
}

test('P4: for any keys, open work, request and breaks, the listing is what the model says', async () => {
  const seed = Number(process.env['HOLDFAST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  console.log(`seed ${seed}`)
  await fc.assert(
    fc.asyncProperty(
      cases,
      requests,
      fc.boolean(),
      fc.array(fc.nat(12), { maxLength: 4 }),
      async (list, request, markers, cuts) => {
        const w = await build(list, markers)
        for (const place of w.places) {
          place.faults.rules = cuts.map(after => ({ on: 'list', times: 1, fault: { kind: 'cut', after } }))
        }
        w.second.faults.rules = []
        expect(await names(w, request)).toEqual(modelOf(list, request))
      },
    ),
    { seed, numRuns: 1500 },
  )
}, 120_000)

test('where a listing shows whose an object is, the ETag, version and time are those of its head', async () => {
  const w = await filled(['foreign', 'moved', 'ours'])
  const etag = `${'a'.repeat(32)}-3`
  const { list } = w.first.inner
  const entryOf = (key: string, of = key) =>
    writeEntry(of, {
      version: version(7),
      size: key.length,
      crc32c: digestsOf(Buffer.from(key)).crc32c,
      etag,
      partSize: 5,
    })
  const entries: Record<string, string> = { ours: entryOf('ours'), moved: entryOf('moved', 'other'), foreign: 'x' }
  Object.assign(w.first.inner, {
    async *list(request: ListRequest, signal: AbortSignal): AsyncIterable<RemoteEntry> {
      for await (const found of list(request, signal))
        yield found.type === 'prefix' ? found : { ...found, entry: entries[found.key] ?? '', storageClass: 'COLD' }
    },
  })
  const [foreign, moved, ours] = await listed(w)
  const common = { type: 'object', storageClass: 'COLD' }
  expect(ours).toEqual({
    ...common,
    key: 'ours',
    size: 4,
    etag,
    version: version(7),
    modifiedAt: new Date(versionTime(version(7))),
  })
  for (const [found, key] of [
    [foreign, 'foreign'],
    [moved, 'moved'],
  ] as const) {
    expect(found).toMatchObject({ ...common, key, etag: digestsOf(Buffer.from(key)).md5 })
    expect(found).not.toHaveProperty('version')
  }
})

test('a key that is asked for, because the listing was late, is shown as its head says', async () => {
  const w = await filled([])
  await w.store(w.first, 'k', 5, 'body')
  w.know('k', { open: row({ key: 'k', n: 5, body: 'body', at: { 1: 'stored', 2: 'waiting' } }) })
  const { list } = w.first.inner
  Object.assign(w.first.inner, {
    async *list(request: ListRequest, signal: AbortSignal): AsyncIterable<RemoteEntry> {
      for await (const found of list(request, signal)) if (found.type === 'prefix') yield found
    },
  })
  expect(await listed(w)).toEqual([
    {
      type: 'object',
      key: 'k',
      size: 4,
      etag: digestsOf(Buffer.from('body')).md5,
      version: version(5),
      modifiedAt: new Date(versionTime(version(5))),
    },
  ])
})

test('with nobody to ask, a listing may say what is here: marked, told as an event, and never nothing', async () => {
  const w = await filled(['there'])
  for (const place of w.places) place.faults.rules = [{ fault: outage }]
  for (const key of ['a', 'b/1', 'b/2', 'c']) w.know(key, { open: row({ key, n: 2, body: key }) })
  w.know('gone/1', { open: row({ key: 'gone/1', n: 3, kind: 'delete' }) })
  const partial = true
  expect(await listed(w, { whenUnreachable: 'local', delimiter: '/' })).toMatchObject([
    { type: 'object', key: 'a', size: 1, etag: digestsOf(Buffer.from('a')).md5, partial },
    { type: 'prefix', prefix: 'b/', partial },
    { type: 'object', key: 'c', partial },
  ])
  expect(w.events).toContainEqual(expect.objectContaining({ event: 'partial', prefix: '' }))
  expect(await names(w, { whenUnreachable: 'local', prefix: 'b/', startAfter: 'b/1' })).toEqual(['b/2'])
  for (const prefix of ['d', 'gone/']) {
    await expect(listed(w, { whenUnreachable: 'local', prefix })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  }
  await expect(listed(w)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
})

test('a listing that a provider began is never ended with what is here', async () => {
  const w = await filled(['a', 'b', 'c'])
  w.know('z', { open: row({ key: 'z', n: 2, body: 'z' }) })
  const { list } = w.first.inner
  Object.assign(w.first.inner, {
    async *list(request: ListRequest, signal: AbortSignal): AsyncIterable<RemoteEntry> {
      for await (const found of list(request, signal)) {
        yield found
        for (const place of w.places) place.faults.rules = [{ fault: outage }]
        throw w.first.inner.classify(new Error('cut'))
      }
    },
  })
  await expect(listed(w, { whenUnreachable: 'local' })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
})
