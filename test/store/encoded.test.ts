import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  paginateListObjectsV2,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { S3Client } from '@aws-sdk/client-s3'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeKey, keyOfName } from '../../src/core/encode.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import { compareKeys } from '../../src/core/key.ts'
import type { Provider } from '../../src/core/provider.ts'
import { systemClock } from '../../src/core/system.ts'
import { encoded } from '../../src/holdfast/encoded.ts'
import type { Holdfast, ListEntry } from '../../src/index.ts'
import { refuseAzureKey } from '../../src/providers/azure/keys.ts'
import { memory } from '../../src/providers/memory.ts'
import { withHoldfast } from '../../src/s3-client/index.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { seedOf } from '../core/encode-properties.ts'
import { someKeys } from '../core/keys.ts'
import { putOf } from '../providers/s3-recorder.ts'
import { bodyAt, eventually, keysOf, releaseOf, testDirectory } from '../support/store.ts'

const seed = seedOf('a store of encoded keys')
const never = new AbortController().signal
const odd = ['a//b', 'x/../y', '/lead', 'trail/', '..', 'a\\b\u0001', 'Wow!2021.jpg', 'soap', 'plain/key.txt']

/** Two that keep what they are given, one of them as choosy as Azure. */
function pair(): [Provider, Provider] {
  return [memory({ name: 'first' }), { ...memory({ name: 'second' }), refuseKey: refuseAzureKey }]
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

/** What no key ends with: an unpaired surrogate. */
const mark = '\ud83d'
const shownOf = (entry: ListEntry): string => (entry.type === 'prefix' ? entry.prefix + mark : entry.key)

async function failure(promise: Promise<unknown>): Promise<HoldfastError> {
  const error: unknown = await promise.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  if (!(error instanceof HoldfastError)) throw new Error(`no HoldfastError, but ${String(error)}`)
  return error
}

test('keys that a provider would refuse or change are stored under one name at every provider, and are read, listed, copied and deleted by themselves (I16, I37)', async () => {
  await using directory = await testDirectory()
  const [first, second] = pair()
  const store = await directory.open([first, second], { keys: 'encode' })
  for (const key of odd) {
    const receipt = await store.put(key, `of ${key}`)
    expect(receipt.key).toBe(key)
    await receipt.replicated({ until: 'verified' })
    for (const provider of [first, second]) {
      expect((await bodyAt(provider, encodeKey(key)))?.toString(), provider.name).toBe(`of ${key}`)
    }
    const object = await store.get(key)
    expect(object?.info.key).toBe(key)
    expect(await object?.text()).toBe(`of ${key}`)
    expect((await store.head(key))?.key).toBe(key)
    expect((await store.inspect(key)).key).toBe(key)
  }
  const names = odd.map(encodeKey).toSorted(compareKeys)
  expect(await keysOf(second)).toEqual(names)
  expect((await all(store.list())).map(shownOf)).toEqual(names.map(keyOfName))
  const copied = await store.copy('a//b', '/copied/')
  expect(copied.key).toBe('/copied/')
  expect(await (await store.get('/copied/'))?.text()).toBe('of a//b')
  for (const key of odd) expect((await store.delete(key)).key).toBe(key)
  await store.drain()
  expect(await keysOf(first)).toEqual(['!2Fcopied!2F'])
  expect(await store.get('a//b')).toBeUndefined()
})

test('still refused, in the words of ever: no Unicode, nothing, names of Holdfast, and what is too long once it is encoded', async () => {
  await using directory = await testDirectory()
  const store = await directory.open(pair(), { keys: 'encode' })
  const refused = async (key: string) => {
    const { code, field, rule, key: told } = await failure(store.put(key, 'x'))
    return { code, field, rule, ...(told === undefined ? {} : { key: told }) }
  }
  expect(await refused('')).toEqual({ code: 'INVALID', field: 'key', rule: 'type' })
  expect(await refused('a\ud83d')).toEqual({ code: 'INVALID', field: 'key', rule: 'unicode', key: 'a\ud83d' })
  for (const key of ['.holdfast', '.holdfast/', '.holdfast//x']) {
    expect(await refused(key)).toEqual({ code: 'INVALID', field: 'key', rule: 'reserved', key })
  }
  const long = '\u0001'.repeat(500)
  expect(await refused(long)).toEqual({ code: 'INVALID', field: 'key', rule: 'length', key: long })
  expect(await refused('\u0001'.repeat(5000))).toMatchObject({ field: 'key', rule: 'length' })
  // @ts-expect-error what code without types gives
  expect(await failure(store.get(7))).toMatchObject({ code: 'INVALID', field: 'key', rule: 'type' })
})

test('objects that were written under strict, or past Holdfast, are found by what they were called, whatever it looks like', async () => {
  const [first, second] = [memory({ name: 'first' }), memory({ name: 'second' })]
  const before = ['Hello!', 'a!41', 'Wow!2021.jpg', 'a//b', 'folder/', 'a!2', 'a!2F!', '100%']
  await using directory = await testDirectory()
  {
    await using strict = await directory.open([first, second])
    for (const key of before) await strict.put(key, `of ${key}`)
    await strict.drain({ until: 'verified' })
  }
  await first.put(putOf('theirs!/x!41', 'foreign'), never)
  const store = await directory.open([first, second], { keys: 'encode' })
  for (const key of before) {
    const object = await store.get(key)
    expect([object?.info.key, await object?.text()]).toEqual([key, `of ${key}`])
    expect((await store.head(key))?.key).toBe(key)
  }
  // What is the name of a key is that key, whoever wrote it.
  await first.put(putOf('x/!2Fy', 'of x//y'), never)
  expect(await (await store.get('x//y'))?.text()).toBe('of x//y')
  expect((await store.get('x/!2Fy'))?.info).toBeUndefined()
  expect((await store.get('theirs!/x!41'))?.info.key).toBe('theirs!/x!41')
  expect((await all(store.list())).map(shownOf).toSorted()).toEqual([...before, 'theirs!/x!41', 'x//y'].toSorted())

  const copied = await store.copy('a//b', 'c//d')
  expect(copied.key).toBe('c//d')
  // A new write goes to the name of the key, and hides the old one; each is listed once.
  await store.put('a//b', 'newer')
  await store.drain()
  expect(await (await store.get('a//b'))?.text()).toBe('newer')
  expect((await all(store.list({ prefix: 'a//' }))).map(shownOf)).toEqual(['a//b'])
  // A delete takes both: the old one does not come back.
  await (await store.delete('a//b')).replicated()
  expect(await store.get('a//b')).toBeUndefined()
  expect(await keysOf(second)).not.toContain('a//b')
  const { version } = (await store.head('folder/')) ?? {}
  await store.delete('folder/', { if: { version: version ?? '' } })
  expect(await store.head('folder/')).toBeUndefined()
})

/** What a listing of these keys has to have: groups where their first key is. */
function modelOf(names: readonly string[], prefix: string, delimiter: string): string[] {
  const found = new Set<string>()
  for (const name of names) {
    const key = keyOfName(name)
    if (!key.startsWith(prefix)) continue
    const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    found.add(at < 0 ? key : key.slice(0, at + delimiter.length) + mark)
  }
  return [...found]
}

test('listings have exactly the keys and groups that begin with a prefix, in the order of names, and go on after any entry', async () => {
  const first = memory({ name: 'first' })
  const keys = someKeys(seed, 80).filter(key => encodeKey(key).length < 700)
  const names = [...new Set([...keys.map(encodeKey), ...keys.slice(0, 20).filter(name => keyOfName(name) === name)])]
  await using directory = await testDirectory()
  const store = await directory.open([first, memory({ name: 'second' })], { keys: 'encode' })
  for (const name of names) await first.put(putOf(name, name), never)
  // An object under a key of its own is hidden by one under the key's name.
  const visible = names
    .filter(name => encodeKey(keyOfName(name)) === name || !names.includes(encodeKey(name)))
    .toSorted(compareKeys)
  const beginnings = keys.flatMap(key => Array.from(key).map((_, at) => Array.from(key).slice(0, at).join('')))
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('', ...beginnings, ...keys),
      fc.constantFrom('', '/', '/', '.', 'a'),
      async (prefix, delimiter) => {
        const entries = (await all(store.list({ prefix, delimiter }))).map(shownOf)
        expect(entries.toSorted(compareKeys)).toEqual(modelOf(visible, prefix, delimiter).toSorted(compareKeys))
        if (delimiter === '') expect(entries).toEqual(modelOf(visible, prefix, ''))
      },
    ),
    { seed, numRuns: 150 },
  )
  // A page at a time, each after the last entry of the one before; of a group, what is left of it is passed over.
  for (const [size, delimiter] of [
    [1, ''],
    [3, ''],
    [1, '/'],
    [2, '/'],
  ] as const) {
    const seen: string[] = []
    for (let last = ''; ; ) {
      const startAfter = last.endsWith(mark) ? last.slice(0, -1) : last
      const page = (await all(store.list({ startAfter, delimiter }))).map(shownOf).filter(each => each !== last)
      if (page.length === 0 || seen.length > 2 * visible.length) break
      seen.push(...page.slice(0, size))
      last = seen.at(-1) ?? ''
    }
    const expected = modelOf(visible, '', delimiter)
    if (delimiter === '') expect(seen).toEqual(expected)
    else expect(seen.toSorted(compareKeys)).toEqual(expected.toSorted(compareKeys))
  }
}, 60_000)

test('deleteMany takes the keys that begin so, their own old names with them, and nothing else', async () => {
  await using directory = await testDirectory()
  const [first, second] = [memory({ name: 'first' }), memory({ name: 'second' })]
  await first.put(putOf('a/old/', 'x'), never)
  await first.put(putOf('a!2Fb', 'x'), never)
  const store = await directory.open([first, second], { keys: 'encode' })
  for (const key of ['a/', 'a//', 'a/b', 'a', 'ab', 'a/../c']) await store.put(key, 'x')
  expect(await store.deleteMany({ prefix: 'a/' })).toEqual({ deleted: 5 })
  await store.drain()
  expect(await keysOf(first)).toEqual(['a', 'a!2Fb', 'ab'])
})

test('reconcile compares the keys of a prefix, and tells of them by key; its cursor goes back in', async () => {
  await using directory = await testDirectory()
  const [first, second] = [memory({ name: 'first' }), memory({ name: 'second' })]
  const store = await directory.open([first, second], { keys: 'encode' })
  for (const key of ['a/', 'a//x', 'a/y', 'b']) {
    const released = releaseOf(store, key)
    await store.put(key, key)
    await released
  }
  for (const key of ['a/', 'a//x', 'b']) await second.delete(encodeKey(key), undefined, never)
  const run = store.reconcile({ prefix: 'a/' })
  const drifts = await all(run)
  expect(drifts.map(({ kind, key }) => [kind, key])).toEqual([
    ['missing', 'a/'],
    ['missing', 'a//x'],
  ])
  expect((await run).missing).toBe(2)
  expect(run.counters.cursor).toBe('a/y')
  expect((await all(store.reconcile({ startAfter: 'a//x' }))).map(({ key }) => key)).toEqual(['b'])
})

test('events, errors, uploads and what waits for a person are told by keys', async () => {
  const faults: Faults = {}
  await using directory = await testDirectory()
  const store = await directory.open([faulty(memory({ name: 'first' }), faults), memory({ name: 'second' })], {
    keys: 'encode',
  })
  const told = new Set<string>()
  for (const event of ['stored', 'verified', 'released'] as const)
    store.on(event, ({ key }) => told.add(`${event} ${key}`))
  await (await store.put('a//b', 'x')).replicated({ until: 'verified' })
  await eventually(() => told.has('released a//b'))
  expect([...told].toSorted()).toEqual(['released a//b', 'stored a//b', 'verified a//b'])
  expect(await failure(store.get('a//b', { range: { start: 9 } }))).toMatchObject({ field: 'range', key: 'a//b' })
  expect(await failure(store.put('a//b', 'y', { if: 'absent' }))).toMatchObject({ code: 'PRECONDITION', key: 'a//b' })

  const upload = await store.uploads.create('u//p/')
  const part = await store.uploads.putPart(upload.id, 1, 'part')
  expect([upload.key, (await store.uploads.get(upload.id))?.key]).toEqual(['u//p/', 'u//p/'])
  expect((await store.uploads.list({ prefix: 'u//' })).map(({ key }) => key)).toEqual(['u//p/'])
  expect(await store.uploads.list({ prefix: 'u/x' })).toEqual([])
  expect((await store.uploads.complete(upload.id, [part])).key).toBe('u//p/')
  expect(await all(store.blocked.list({ key: 'a//b' }))).toEqual([])
})

test('a body that breaks says so by its key', async () => {
  const inner = { get: async () => ({ info: { key: 'a/!2Fb' }, body: broken(), text: () => Promise.reject(wrong()) }) }
  const object = await encoded(inner as unknown as Holdfast, systemClock).get('a//b')
  expect(await failure(all(object?.body ?? broken()))).toMatchObject({ key: 'a//b' })
  expect(await failure(object?.text() ?? Promise.resolve())).toMatchObject({ key: 'a//b' })

  function broken(): ReadableStream<Uint8Array> {
    return new ReadableStream({ pull: control => control.error(wrong()) })
  }
  function wrong(): HoldfastError {
    return new HoldfastError('UNAVAILABLE', 'it broke', { key: 'a/!2Fb' })
  }
})

/** What each method of a store takes: one that is missing here was not thought of. */
const takes: Readonly<Record<string, 'key' | 'two keys' | 'prefix' | 'selection' | 'nothing'>> = {
  put: 'key',
  get: 'key',
  head: 'key',
  delete: 'key',
  copy: 'two keys',
  signedUrl: 'key',
  adopt: 'key',
  inspect: 'key',
  'uploads.create': 'key',
  list: 'prefix',
  deleteMany: 'prefix',
  'uploads.list': 'prefix',
  reconcile: 'prefix',
  backfill: 'prefix',
  evacuate: 'prefix',
  estimate: 'prefix',
  'blocked.list': 'selection',
  'blocked.retry': 'selection',
  'blocked.abandon': 'selection',
  'blocked.abandoned': 'nothing',
  'uploads.get': 'nothing',
  'uploads.putPart': 'nothing',
  'uploads.complete': 'nothing',
  'uploads.abort': 'nothing',
  retire: 'nothing',
  acceptBucket: 'nothing',
  drain: 'nothing',
  check: 'nothing',
  status: 'nothing',
  on: 'nothing',
  close: 'nothing',
}

test('no method lets a key in as it is: each that a store has is wrapped, and gives the store inside names, keys only where their names have nothing', async () => {
  await using directory = await testDirectory()
  const store = await directory.open(pair())
  expect(Object.keys(takes).toSorted()).toEqual(methodsOf(store))
  expect(methodsOf(encoded(store, systemClock))).toEqual(methodsOf(store))
  const key = 'k//\u0001'
  for (const [path, what] of Object.entries(takes)) {
    const seen: unknown[][] = []
    const given = {
      key: [key],
      'two keys': [key, 'to//'],
      prefix: [{ prefix: key }],
      selection: [{ key }, { why: 'test' }],
      nothing: ['second', () => {}],
    }[what]
    const [outer = '', inner] = path.split('.')
    const wrapped = encoded(watched(store, seen), systemClock) as unknown as Record<
      string,
      Method & Record<string, Method>
    >
    const method = inner === undefined ? wrapped[outer] : wrapped[outer]?.[inner]
    try {
      const answer = await method?.(...given)
      for await (const _ of answer as AsyncIterable<unknown>);
    } catch {
      // The store inside answers nothing that can be used: what it was given is what counts.
    }
    const [first, ...more] = seen.map((call): unknown => (what === 'prefix' || what === 'selection' ? call[0] : call))
    expect(first, path).toEqual(
      {
        key: [encodeKey(key)],
        'two keys': [encodeKey(key), encodeKey('to//')],
        prefix: expect.objectContaining({ prefix: 'k/!2F!01' }),
        selection: { key: encodeKey(key) },
        nothing: expect.anything(),
      }[what],
    )
    if (what === 'key') for (const call of more) expect([encodeKey(key), key], path).toContain((call as unknown[])[0])
  }
})

type Method = (...given: readonly unknown[]) => unknown

function methodsOf(store: object): string[] {
  return Object.entries(store)
    .flatMap(([name, value]) =>
      typeof value === 'object' ? Object.keys(value as object).map(inner => `${name}.${inner}`) : [name],
    )
    .toSorted()
}

/** The same methods, which only write down what they are given. */
function watched(store: object, seen: unknown[][]): Holdfast {
  const watch = (value: unknown): unknown =>
    typeof value === 'object'
      ? watched(value as object, seen)
      : (...given: unknown[]) => {
          seen.push(given.filter(each => each !== undefined))
        }
  return Object.fromEntries(Object.entries(store).map(([name, value]) => [name, watch(value)])) as unknown as Holdfast
}

test('the S3 client of an app, wrapped around such a store, keeps keys that no other cloud could hold', async () => {
  await using directory = await testDirectory()
  const store = await directory.open(pair(), { keys: 'encode' })
  const plain = new S3Client({ region: 'us-east-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } })
  const client = withHoldfast(plain, { photos: store })
  const keys = ['a//b', 'x/../y', '/lead', 'trail/', 'trail/x', 'plain']
  for (const Key of keys) await client.send(new PutObjectCommand({ Bucket: 'photos', Key, Body: `of ${Key}` }))
  for (const Key of keys) {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: 'photos', Key }))
    expect(await Body?.transformToString()).toBe(`of ${Key}`)
    expect((await client.send(new HeadObjectCommand({ Bucket: 'photos', Key }))).ContentLength).toBe(3 + Key.length)
  }
  const listed: string[] = []
  const groups: string[] = []
  for await (const page of paginateListObjectsV2({ client, pageSize: 1 }, { Bucket: 'photos' }))
    listed.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ''))
  for await (const page of paginateListObjectsV2({ client, pageSize: 1 }, { Bucket: 'photos', Delimiter: '/' })) {
    groups.push(
      ...(page.Contents ?? []).map(({ Key }) => Key ?? ''),
      ...(page.CommonPrefixes ?? []).map(({ Prefix }) => `${Prefix}*`),
    )
  }
  expect(listed.toSorted()).toEqual(keys.toSorted())
  expect(groups.toSorted()).toEqual(['/*', 'a/*', 'plain', 'trail/*', 'x/*'])
  await client.send(new DeleteObjectCommand({ Bucket: 'photos', Key: 'a//b' }))
  await expect(client.send(new GetObjectCommand({ Bucket: 'photos', Key: 'a//b' }))).rejects.toMatchObject({
    name: 'NoSuchKey',
  })
  plain.destroy()
})
