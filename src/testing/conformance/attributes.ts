import assert from 'node:assert/strict'
import { packedName } from '../../core/attributes.ts'
import { entryName, writeEntry } from '../../core/entry.ts'
import type { ContentHeaders, RemoteObject } from '../../core/provider.ts'
import { type Bench, type Check, plainHeaders } from './bench.ts'

const headerNames = ['contentType', 'cacheControl', 'contentDisposition', 'contentEncoding', 'contentLanguage'] as const

/** Names in lower case, as they arrive. */
const names = [
  'a',
  'name_1',
  'x-y',
  'a.b',
  '1st',
  'a b',
  '\u00e9',
  'n'.repeat(64),
  '__proto__',
  'constructor',
  'prototype',
  'tostring',
  'hasownproperty',
  'content-type',
  'x-amz-meta-a',
]

/** Unicode without control characters. */
const values = [
  '',
  'plain',
  ' blanks around ',
  'two  blanks',
  'a,b;c=d',
  '"quoted" \\ back',
  '%41%2F',
  '=?UTF-8?Q?=C3=A9?=',
  '<xml attr="1">&amp;</xml>',
  '{"json":[1,2,"3"]}',
  '\u00e9',
  'e\u0301',
  '日本語',
  '😀 emoji',
  '\u{10ffff}',
  '\u200fright to left',
  'x'.repeat(500),
  'null',
  '0',
]

/** Headers and metadata come back exactly, as far as the provider says that it holds them. */
export function testAttributes(check: Check): void {
  check('headers come back as they were, and none that were not given', async bench => {
    const sets: readonly ContentHeaders[] = [
      { contentType: 'image/jpeg' },
      { contentType: 'text/plain; charset=utf-8', cacheControl: 'public, max-age=31536000, immutable' },
      {
        contentType: 'application/vnd.example+json; a="b c"',
        cacheControl: 'no-store',
        contentDisposition: `attachment; filename="a b.txt"; filename*=UTF-8''%e2%82%ac%20rates.txt`,
        contentEncoding: 'gzip',
        contentLanguage: 'de, en-GB',
      },
      { contentType: 'text/html', contentEncoding: 'identity' },
    ]
    for (const [index, headers] of sets.entries()) {
      const key = `${bench.under}${index}`
      // Not gzip at all: what is stored under a content encoding is nobody's business on the way.
      await bench.put(key, 'not compressed', { headers })
      await bothWays(bench, key, object => {
        for (const name of headerNames) assert.equal(object.headers[name], headers[name], name)
      })
      assert.equal(await bench.text(key), 'not compressed')
    }
  })

  check('metadata comes back exactly, wherever the provider says that it holds it', async bench => {
    const { metadata: limits } = bench.provider.limits
    const entries = [
      ...names.map(name => [name, `value of ${name}`] as const),
      ...values.map((value, index) => [`v${index}`, value] as const),
    ].filter(([name, value]) => limits.holds(name, value))
    const left = [...entries]
    for (let batch = 0; left.length > 0; batch++) {
      const metadata: Record<string, string> = Object.create(null)
      for (let bytes = 0; left[0] !== undefined; left.shift()) {
        const [name, value] = left[0]
        bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
        if (bytes > Math.min(limits.bytes, 1500) && Object.keys(metadata).length > 0) break
        metadata[name] = value
      }
      const key = `${bench.under}${batch}`
      await bench.put(key, 'body', { metadata })
      await bothWays(bench, key, object => {
        assert.equal(Object.getPrototypeOf(object.metadata), null, 'a null-prototype object')
        assert.deepEqual(sorted(object.metadata), sorted(metadata))
      })
    }
    assert.equal(Object.getPrototypeOf({}), Object.prototype)
  })

  check('no metadata comes back as no metadata', async bench => {
    const key = `${bench.under}key`
    await bench.put(key, 'body')
    await bothWays(bench, key, object => {
      assert.equal(Object.getPrototypeOf(object.metadata), null)
      assert.deepEqual(sorted(object.metadata), [])
    })
  })

  check('metadata of exactly the limit is held', async bench => {
    const { metadata: limits } = bench.provider.limits
    const metadata = { size: 'x'.repeat(limits.bytes - 'size'.length) }
    assert.ok(limits.holds('size', metadata.size))
    const key = `${bench.under}key`
    await bench.put(key, 'body', { metadata })
    await bothWays(bench, key, object => assert.equal(object.metadata['size'], metadata.size))
  })

  check("Holdfast's own entries are held", async bench => {
    const { metadata: limits } = bench.provider.limits
    const key = `${bench.under}key`
    const etag = { etag: 'd41d8cd98f00b204e9800998ecf8427e-10000', partSize: 2 ** 40 }
    const version = '0199e5a1c2b30000a1b2c3d4e5f60718'
    const metadata = {
      [entryName]: writeEntry(key, { version, size: 2 ** 42, crc32c: '00000000', ...etag }),
      [packedName]: Buffer.from('[["é","日本"]]').toString('base64url'),
    }
    for (const [name, value] of Object.entries(metadata)) assert.ok(limits.holds(name, value), name)
    await bench.put(key, 'body', { metadata })
    await bothWays(bench, key, object => assert.deepEqual(sorted(object.metadata), sorted(metadata)))
  })

  check('attributes of a large object come back too', async bench => {
    const key = `${bench.under}key`
    const headers = { ...plainHeaders, cacheControl: 'no-cache' }
    await bench.put(key, new Uint8Array(bench.largest), { headers, metadata: { note: 'large' } })
    await bothWays(bench, key, object => {
      for (const name of headerNames) assert.equal(object.headers[name], (headers as ContentHeaders)[name], name)
      assert.deepEqual(sorted(object.metadata), [['note', 'large']])
    })
  })
}

/** By head, and by get. */
async function bothWays(bench: Bench, key: string, look: (object: RemoteObject) => void): Promise<void> {
  const object = await bench.head(key)
  assert.ok(object)
  look(object)
  const found = await bench.provider.get({ key, range: undefined, token: undefined }, bench.signal)
  assert.ok(found)
  await found.close()
  look(found.object)
}

function sorted(metadata: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1))
}
