import { createReadStream, openAsBlob } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { BlobServiceClient } from '@azure/storage-blob'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Body } from '../../src/core/body.ts'
import type { Provider } from '../../src/core/provider.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import type { PutOptions } from '../../src/holdfast/input/put.ts'
import { azure } from '../../src/providers/azure.ts'
import { fs } from '../../src/providers/fs.ts'
import { memory } from '../../src/providers/memory.ts'
import { startAzurite } from '../servers/azurite.ts'
import { providersOf, startClouds } from '../support/clouds.ts'
import { bodyAt, eventually, type TestDirectory, testDirectory } from '../support/store.ts'

/**
 * What lies just within every limit must work, and come back as it was: from local disk while nobody else has it, and from a provider once
 * the local copy is released. Through the real drivers: S3 and Cloud Storage, Azure and a directory.
 */

interface Item {
  readonly key?: string
  readonly body: () => Body | Promise<Body>
  readonly bytes: Uint8Array
  readonly options?: PutOptions
}

/** Bytes that are no text, and none like the one before. */
function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >> 8)) & 0xff
  return bytes
}

const plain = (bytes: Uint8Array, options: PutOptions = {}): Item => ({ body: () => bytes, bytes, options })
const named = (key: string): Item => ({ ...plain(pattern(20)), key })
const sizes = [0, 1, 16_383, 16_384, 16_385, 65_537, 262_143, 262_144, 262_145, 1_048_577]

/** A body as an app has it, in each of the forms that it may have, small enough for a journal row and too large for one. */
function kindsOf(size: number, scratch: () => string): Readonly<Record<string, Item>> {
  const bytes = pattern(size)
  const halves = [bytes.subarray(0, size >> 1), bytes.subarray(size >> 1)]
  const file = async () => {
    const path = join(scratch(), `file-${size}`)
    await writeFile(path, bytes)
    return path
  }
  const text = 'naïve 日本 😀 '.repeat(Math.ceil(size / 20))
  const streamed = () =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        for (const half of halves) controller.enqueue(Uint8Array.from(half))
        controller.close()
      },
    })
  const ofBytes = () => {
    let at = 0
    return new ReadableStream({
      type: 'bytes',
      pull(controller) {
        if (at < size) controller.enqueue(Uint8Array.from(bytes.subarray(at, (at += 1000))))
        else controller.close()
      },
    })
  }
  async function* generated() {
    for (const half of halves) yield half
  }
  async function* inCrumbs() {
    yield new Uint8Array()
    for (let at = 0; at < size; at += 999) {
      yield bytes.subarray(at, at + 999)
      yield new Uint8Array()
    }
  }
  const item = (body: Item['body']): Item => ({ body, bytes })
  return {
    'a string': { body: () => text, bytes: Buffer.from(text) },
    'a Buffer': item(() => bytes),
    'a Uint8Array': item(() => new Uint8Array(bytes)),
    'part of a larger buffer': item(() =>
      Buffer.concat([Buffer.alloc(7), bytes, Buffer.alloc(9)]).subarray(7, 7 + size),
    ),
    'an ArrayBuffer': item(() => Uint8Array.from(bytes).buffer),
    'a DataView': item(() => new DataView(Uint8Array.from(bytes).buffer) as unknown as Uint8Array),
    'a Blob': item(() => new Blob(halves.map(half => Uint8Array.from(half)))),
    'a File': item(() => new File([Uint8Array.from(bytes)], 'photo.jpg')),
    'a file as a Blob': item(async () => openAsBlob(await file())),
    'a web stream': item(streamed),
    'a web stream of bytes': item(ofBytes),
    'the body of a Response': item(() => new Response(Uint8Array.from(bytes)).body as ReadableStream<Uint8Array>),
    'a Node stream': item(() => Readable.from(halves)),
    'a PassThrough': item(() => new PassThrough().end(bytes)),
    'a file stream': item(async () => createReadStream(await file())),
    'an async generator': item(generated),
    'a generator of crumbs and nothings': item(inCrumbs),
  }
}

function itemsOf(scratch: () => string): Readonly<Record<string, Item>> {
  const items: Record<string, Item> = {}
  for (const size of sizes) items[`${size} bytes`] = plain(pattern(size))
  for (const size of [12, 40_000])
    for (const [kind, item] of Object.entries(kindsOf(size, scratch))) items[`${kind} of about ${size} bytes`] = item
  return {
    ...items,
    'nothing, from a stream': { body: () => Readable.from([]), bytes: new Uint8Array() },
    'one chunk of 3 MiB': { body: () => Readable.from([pattern(3 * 2 ** 20)]), bytes: pattern(3 * 2 ** 20) },
    'gzip that is none': plain(pattern(5000), { contentEncoding: 'gzip', contentType: 'text/plain' }),
    'gzip that is one': plain(gzipSync('text '.repeat(1000)), { contentEncoding: 'gzip', contentType: 'text/plain' }),
    'gzip that is cut off': plain(gzipSync(pattern(50_000)).subarray(0, 30_000), { contentEncoding: 'gzip' }),
    'every digest that can be announced, in capitals': plain(Buffer.from('hello'), {
      expect: {
        size: 5,
        md5: '5D41402ABC4B2A76B9719D911017C592',
        crc32c: '9A71BB4C',
        sha256: '2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824',
      },
    }),
    'metadata of every kind': plain(pattern(20), {
      metadata: {
        owner: 'Zoë 😀',
        'x-a.b': '  blanks ',
        empty: '',
        encoded: '=?UTF-8?B?YQ==?=',
        percent: '100%',
        tostring: 'x',
      },
    }),
    '64 entries of metadata': plain(pattern(20), {
      metadata: Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`n${i}`, `${i}`])),
    }),
    'one character': named('a'),
    'a key of 1,024 bytes': named('k'.repeat(1024)),
    'a key of 1,024 bytes of emoji': named('😀'.repeat(256)),
    'a key of 254 segments': named(Array.from({ length: 254 }, () => 'a').join('/')),
    'right to left': named('שלום/عالم/‏.jpg'),
    'not normalised': named('cafe\u0301.jpg'),
    normalised: named('café.jpg'),
    'a family of emoji': named('👩‍👩‍👧‍👦/🏳️‍🌈.png'),
    'beyond the basic plane, which sorts after U+FFFD': named('\u{20000}'),
    'percent text': named('%2e%2e/%2F%00'),
    'upper case': named('PHOTO.JPG'),
    'lower case': named('photo.jpg'),
    'slashes at both ends and in a row': named('/a//b/'),
    'blanks at both ends': named(' a b '),
    'a name of the prototype': named('__proto__'),
    'another name of the prototype': named('constructor'),
    'a device of Windows': named('CON'),
    'nearly ours': named('.holdfast-not/identity'),
  }
}

const printable = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => String.fromCharCode(from + i)).join('')

interface Pair {
  readonly of: string
  /** Makes the two services; the stack ends them. */
  readonly start: (stack: AsyncDisposableStack, scratch: string) => Promise<readonly [Provider, Provider]>
  readonly more: Readonly<Record<string, Item>>
}

const pairs: readonly Pair[] = [
  {
    of: 'S3 and Cloud Storage',
    async start(stack) {
      return providersOf(stack.use(await startClouds()).clouds)
    },
    more: {
      'all of 0x20 to 0x7E': named(printable(0x20, 0x7e)),
      // 2,048 in all; our own entry counts as 158, the name as 5.
      'as much metadata as S3 takes': plain(pattern(20), { metadata: { owner: 'x'.repeat(1885) } }),
    },
  },
  {
    of: 'Azure and a directory',
    async start(stack, scratch) {
      const { connectionString } = stack.use(await startAzurite())
      await BlobServiceClient.fromConnectionString(connectionString).getContainerClient('photos').create()
      const root = join(scratch, 'objects')
      await mkdir(root)
      return [azure({ container: 'photos', name: 'azure', connectionString }), fs({ root, name: 'fs' })]
    },
    more: {
      // Azure takes no backslash, and no segment that ends in a dot.
      'all of 0x20 to 0x7E that Azure takes': named(`${printable(0x20, 0x7e).replace('\\', '').replace('./', '/')}.x`),
      'as much metadata as Azure takes': plain(pattern(20), { metadata: { owner: 'x'.repeat(8029) } }),
    },
  },
]

const ranges = [
  { range: { start: 0 }, of: (size: number) => [0, size] },
  { range: { start: 0, end: 1 }, of: () => [0, 1] },
  { range: { start: 3, end: 7 }, of: () => [3, 7] },
  { range: { start: 9 }, of: (size: number) => [9, size] },
  { range: { start: 3, end: 1e9 }, of: (size: number) => [3, size] },
  { range: { last: 1 }, of: (size: number) => [size - 1, size] },
  { range: { last: 7 }, of: (size: number) => [size - 7, size] },
  { range: { last: 1e9 }, of: (size: number) => [0, size] },
] as const

/** Reads it in every way, and compares. */
async function expectWhole(store: Holdfast, key: string, { bytes, options = {} }: Item, from: string): Promise<void> {
  const { expect: _announced, metadata = {}, ...headers } = options
  const found = await store.get(key)
  expect(found).toMatchObject({ from, stale: false })
  expect(found?.info).toMatchObject({ key, size: bytes.byteLength, ...headers })
  expect({ ...found?.info.metadata }).toEqual(metadata)
  expect(Buffer.compare((await found?.bytes()) ?? Buffer.from('none'), bytes)).toBe(0)
  expect(await store.head(key)).toEqual(found?.info)
  if (bytes.byteLength < 10) return
  for (const { range, of } of ranges) {
    const [start = 0, end = 0] = of(bytes.byteLength)
    const part = await store.get(key, { range })
    expect(part?.range).toEqual({ start, end })
    expect(Buffer.compare((await part?.bytes()) ?? Buffer.from('none'), bytes.subarray(start, end))).toBe(0)
  }
}

for (const pair of pairs)
  describe(pair.of, () => {
    const stack = new AsyncDisposableStack()
    let directory: TestDirectory
    let scratch: string
    let store: Holdfast
    let providers: readonly [Provider, Provider]
    const items = { ...itemsOf(() => scratch), ...pair.more }
    const keyOf = (name: string) => items[name]?.key ?? `items/${name}`

    beforeAll(async () => {
      directory = stack.use(await testDirectory())
      scratch = `${directory.path}-scratch`
      await mkdir(scratch)
      providers = await pair.start(stack, scratch)
      store = await directory.open(providers, { replication: { run: 'external' } })
    })
    afterAll(() => stack.disposeAsync())

    describe('is taken, and read from local disk', () => {
      for (const [name, item] of Object.entries(items))
        test(name, async () => {
          const receipt = await store.put(keyOf(name), await item.body(), item.options)
          expect(receipt.size).toBe(item.bytes.byteLength)
          await expectWhole(store, keyOf(name), item, 'local')
        })
    })

    test('all of it reaches both, is looked at twice, and leaves local disk', { timeout: 120_000 }, async () => {
      await store.close()
      store = await directory.open(providers)
      await store.drain({ until: 'verified' })
      const count = Object.keys(items).length
      await eventually(async () => (await store.status()).done === count)
      await eventually(async () => (await readdir(join(directory.path, 'bodies'))).length === 0)
      expect(await store.status()).toMatchObject({ accepted: count, superseded: 0, blocked: { writes: 0 } })
    })

    describe('is read from a provider', () => {
      for (const [name, item] of Object.entries(items))
        test(name, async () => {
          const [primary, secondary] = providers
          await expectWhole(store, keyOf(name), item, primary.name)
          expect(Buffer.compare((await bodyAt(secondary, keyOf(name))) ?? Buffer.from('none'), item.bytes)).toBe(0)
        })

      test('all keys, in the order of their bytes', async () => {
        const keys = (await Array.fromAsync(store.list())).map(entry => (entry.type === 'object' ? entry.key : ''))
        const wanted = Object.keys(items)
          .map(name => Buffer.from(keyOf(name)))
          .toSorted(Buffer.compare)
        expect(keys).toEqual(wanted.map(key => key.toString()))
      })
    })
  })

test('a body of 16,384 bytes is in the journal, one byte more is a file', async () => {
  await using directory = await testDirectory()
  const external = { replication: { run: 'external' } } as const
  const store = await directory.open([memory({ name: 'a' }), memory({ name: 'b' })], external)
  const files = async () => (await readdir(join(directory.path, 'bodies'))).length
  await store.put('row', pattern(16_384))
  await store.put('row, from a stream', Readable.from([pattern(10_000), pattern(6_384)]))
  expect(await files()).toBe(0)
  await store.put('file', pattern(16_385))
  expect(await files()).toBe(1)
  await store.put('file, from a stream', Readable.from([pattern(10_000), pattern(6_385)]))
  expect(await files()).toBe(2)
})

test("the journal and the body files of another store are bodies like others, and that store's are not touched", async () => {
  await using other = await testDirectory()
  const external = { replication: { run: 'external' } } as const
  const source = await other.open([memory({ name: 'a' }), memory({ name: 'b' })], external)
  await source.put('secret', pattern(50_000))
  await source.put('secret too', 'in a row')
  await source.close()
  const [file = ''] = await readdir(join(other.path, 'bodies'))
  const paths = ['journal.sqlite', 'holdfast.json', 'members.lock', join('bodies', file)].map(name =>
    join(other.path, name),
  )

  await using directory = await testDirectory()
  const store = await directory.open([memory({ name: 'a' }), memory({ name: 'b' })])
  for (const path of paths) {
    const bytes = await readFile(path)
    for (const [form, body] of Object.entries({ stream: createReadStream(path), bytes }))
      await store.put(`${form} of ${path}`, body)
    for (const form of ['stream', 'bytes']) {
      await eventually(async () => (await store.status()).pending.writes === 0)
      const found = await store.get(`${form} of ${path}`)
      expect(Buffer.compare((await found?.bytes()) ?? Buffer.from('none'), bytes)).toBe(0)
    }
    expect(await readFile(path)).toEqual(bytes)
  }
})
