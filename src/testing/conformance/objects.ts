import assert from 'node:assert/strict'
import { digestsOf } from '../../core/digest.ts'
import type { ByteRange, RemoteObject } from '../../core/provider.ts'
import { type Bench, bytesOf, type Check, type ConformanceOptions, content, each, refused, soon } from './bench.ts'

/** Bytes in, the same bytes out: whole and in ranges, over and over, many at once. */
export function testObjects(check: Check, options: ConformanceOptions): void {
  for (const size of new Set([0, 1, 100_000, ...(options.sizes ?? [])])) {
    check(`${size} bytes come back as they were`, bench => roundTrip(bench, content(size, size + 1)))
  }

  check('what is not there is undefined, and deleting it is no error', async bench => {
    const { provider, signal, under } = bench
    const key = `${under}nothing`
    assert.equal(await bench.head(key), undefined)
    assert.equal(await provider.get({ key, range: undefined, token: undefined }, signal), undefined)
    assert.equal(await provider.get({ key, range: { start: 0, end: 10 }, token: undefined }, signal), undefined)
    plausibleTime((await provider.delete(key, undefined, signal)).serverTime)
    assert.equal(await bench.head(key), undefined)
  })

  check('what was deleted is gone, and only that', async bench => {
    const { provider, signal, under } = bench
    await bench.put(`${under}a`, 'a')
    await bench.put(`${under}ab`, 'ab')
    plausibleTime((await provider.delete(`${under}a`, undefined, signal)).serverTime)
    assert.equal(await bench.head(`${under}a`), undefined)
    assert.equal(await bench.text(`${under}a`), undefined)
    assert.equal(await bench.text(`${under}ab`), 'ab')
    await provider.delete(`${under}a`, undefined, signal)
    await bench.put(`${under}a`, 'again')
    assert.equal(await bench.text(`${under}a`), 'again')
  })

  check('an overwrite replaces bytes, headers and metadata together', async bench => {
    const key = `${bench.under}key`
    const headers = { contentType: 'text/plain', cacheControl: 'no-cache', contentLanguage: 'de' }
    const first = await bench.put(key, 'a longer body', { headers, metadata: { one: '1', both: 'x' } })
    const second = await bench.put(key, 'short', { headers: { contentType: 'image/png' }, metadata: { both: 'y' } })
    const object = await bench.head(key)
    assert.ok(object)
    assert.equal(object.size, 5)
    assert.equal(object.headers.contentType, 'image/png')
    assert.equal(object.headers.cacheControl, undefined)
    assert.equal(object.headers.contentLanguage, undefined)
    assert.deepEqual({ ...object.metadata }, { both: 'y' })
    assert.equal(object.token, second.token)
    assert.notEqual(first.token, second.token)
    assert.equal(await bench.text(key), 'short')
  })

  check('the same bytes written again have another token, where tokens are said to be unique', async bench => {
    const key = `${bench.under}key`
    const tokens = new Set<string>()
    for (let i = 0; i < 3; i++) tokens.add((await bench.put(key, 'the same')).token)
    await bench.provider.delete(key, undefined, bench.signal)
    tokens.add((await bench.put(key, 'the same')).token)
    if (bench.capabilities.uniqueTokens) assert.equal(tokens.size, 4)
    assert.equal((await bench.head(key))?.token, [...tokens].at(-1))
  })

  check('ranges give what they mean', async bench => {
    const key = `${bench.under}key`
    const bytes = content(1000)
    await bench.put(key, bytes)
    const ranges: readonly [ByteRange, number, number][] = [
      [{ start: 0 }, 0, 1000],
      [{ start: 0, end: 1 }, 0, 1],
      [{ start: 10, end: 20 }, 10, 20],
      [{ start: 999 }, 999, 1000],
      [{ start: 999, end: 1000 }, 999, 1000],
      [{ start: 990, end: 5000 }, 990, 1000],
      [{ start: 0, end: Number.MAX_SAFE_INTEGER }, 0, 1000],
      [{ last: 1 }, 999, 1000],
      [{ last: 1000 }, 0, 1000],
      [{ last: 5000 }, 0, 1000],
    ]
    for (const [range, start, end] of ranges) await readRange(bench, key, bytes, range, start, end)
  })

  check('ranges across the boundaries of parts give what they mean', async bench => {
    const key = `${bench.under}key`
    const bytes = content(bench.largest, 3)
    await bench.put(key, bytes)
    const size = bytes.byteLength
    for (const at of new Set(bench.sizes.filter(one => one > 2 && one < size - 2))) {
      await readRange(bench, key, bytes, { start: at - 2, end: at + 2 }, at - 2, at + 2)
    }
    await readRange(bench, key, bytes, { last: 3 }, size - 3, size)
    await readRange(bench, key, bytes, { start: size - 3 }, size - 3, size)
  })

  check('a range that begins at or past the end is refused', async bench => {
    const { provider, signal, under } = bench
    await bench.put(`${under}ten`, content(10))
    await bench.put(`${under}empty`, '')
    const wrong: readonly [string, ByteRange][] = [
      ['ten', { start: 10 }],
      ['ten', { start: 10, end: 20 }],
      ['ten', { start: 5_000_000_000 }],
      ['empty', { start: 0 }],
      ['empty', { start: 0, end: 1 }],
      ['empty', { last: 1 }],
    ]
    for (const [name, range] of wrong) {
      const error = await refused(
        provider.get({ key: under + name, range, token: undefined }, signal),
        'INVALID',
        'RANGE',
      )
      assert.equal(error.field, 'range', `${name} ${JSON.stringify(range)}`)
    }
    assert.equal(await bench.text(`${under}empty`), '')
  })

  check('a read that began before an overwrite never mixes the two', async bench => {
    const { provider, signal, under } = bench
    const key = `${under}key`
    const [before, after] = [new Uint8Array(3_000_000).fill(1), new Uint8Array(3_000_000).fill(2)]
    await bench.put(key, before)
    const found = await provider.get({ key, range: undefined, token: undefined }, signal)
    assert.ok(found)
    const chunks: Uint8Array[] = []
    try {
      for await (const chunk of found.body) {
        if (chunks.length === 0) await bench.put(key, after)
        chunks.push(Uint8Array.from(chunk))
      }
      assert.ok(Buffer.concat(chunks).equals(before), 'all of the object that the read began with')
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
      assert.ok(Buffer.concat(chunks).every(byte => byte === 1))
    }
    assert.equal((await bench.head(key))?.size, after.byteLength)
  })

  check('of overwrites at the same time one is left, whole', async bench => {
    const key = `${bench.under}key`
    const writers = Array.from({ length: 6 }, (_none, index) => index)
    const results = await Promise.all(
      writers.map(writer =>
        bench.put(key, content(5000 + writer, writer + 1), {
          headers: { contentType: `text/x-${writer}` },
          metadata: { writer: String(writer) },
        }),
      ),
    )
    const object = await bench.head(key)
    assert.ok(object)
    const winner = Number(object.metadata['writer'])
    assert.equal(object.size, 5000 + winner)
    assert.equal(object.headers.contentType, `text/x-${winner}`)
    assert.equal(object.token, results[winner]?.token)
    const found = await bench.provider.get({ key, range: undefined, token: undefined }, bench.signal)
    assert.ok(found && (await bytesOf(found)).equals(content(5000 + winner, winner + 1)))
  })

  check('200 small puts at the same time all arrive', async bench => {
    const keys = Array.from({ length: 200 }, (_none, index) => `${bench.under}${index}`)
    await Promise.all(keys.map(key => bench.put(key, `body of ${key}`)))
    await each(keys, 20, async key => assert.equal(await bench.text(key), `body of ${key}`))
  })

  check('bodies that are closed, or left early, hold nothing up', async bench => {
    const { provider, signal, under } = bench
    const key = `${under}key`
    await bench.put(key, content(1_000_000))
    for (let i = 0; i < 60; i++) {
      const found = await soon(provider.get({ key, range: undefined, token: undefined }, signal), 'a get')
      assert.ok(found)
      if (i % 2 === 0) {
        await soon(found.close(), 'close')
        await soon(found.close(), 'closing twice')
        continue
      }
      for await (const chunk of found.body) {
        assert.ok(chunk.byteLength > 0)
        break
      }
    }
    const found = await provider.get({ key, range: undefined, token: undefined }, signal)
    assert.ok(found)
    await bytesOf(found)
    await soon(found.close(), 'closing what was read to the end')
    await roundTrip(bench, content(1000))
  })
}

async function roundTrip(bench: Bench, bytes: Uint8Array): Promise<void> {
  const { provider, capabilities, signal, under } = bench
  const key = `${under}size ${bytes.byteLength}`
  const digests: Readonly<Record<string, string>> = { ...digestsOf(bytes) }
  const result = await bench.put(key, bytes, { metadata: { note: 'round trip' } })
  assert.ok(result.token.length > 0)
  assert.ok(['server-full', 'server-parts', 'none'].includes(result.proof))
  plausibleTime(result.serverTime)
  s3Etag(result.etag)

  const object = await bench.head(key)
  assert.ok(object, 'head finds it at once')
  const found = await provider.get({ key, range: undefined, token: undefined }, signal)
  assert.ok(found, 'get finds it at once')
  const same = (one: RemoteObject): void => {
    assert.equal(one.key, key)
    assert.equal(one.size, bytes.byteLength)
    assert.equal(one.token, result.token)
    s3Etag(one.etag)
    if (result.etag !== undefined) assert.equal(one.etag, result.etag)
    assert.equal(one.metadata['note'], 'round trip')
    plausibleTime(one.modifiedAt.getTime())
    plausibleTime(one.serverTime)
    for (const [algorithm, hex] of Object.entries(one.attested)) assert.equal(hex, digests[algorithm], algorithm)
  }
  same(object)
  same(found.object)
  if (bytes.byteLength <= 100_000) {
    for (const algorithm of capabilities.attests) assert.equal(object.attested[algorithm], digests[algorithm])
  }
  assert.deepEqual([found.start, found.end], [0, bytes.byteLength])
  assert.ok((await bytesOf(found)).equals(bytes), 'the same bytes')

  if (!capabilities.listsAtOnce) return
  const [entry, ...others] = await bench.list({ prefix: key })
  assert.equal(others.length, 0)
  assert.ok(entry?.type === 'object')
  assert.equal(entry.key, key)
  assert.equal(entry.size, bytes.byteLength)
  plausibleTime(entry.modifiedAt.getTime())
  if (entry.token !== undefined) assert.equal(entry.token, result.token)
  if (entry.etag !== undefined) assert.equal(entry.etag, object.etag)
  for (const [algorithm, hex] of Object.entries(entry.attested)) assert.equal(hex, digests[algorithm], algorithm)
}

async function readRange(
  bench: Bench,
  key: string,
  bytes: Uint8Array,
  range: ByteRange,
  start: number,
  end: number,
): Promise<void> {
  const what = JSON.stringify(range)
  const found = await bench.provider.get({ key, range, token: undefined }, bench.signal)
  assert.ok(found, what)
  assert.deepEqual([found.start, found.end], [start, end], what)
  assert.equal(found.object.size, bytes.byteLength, `${what}: the size is the whole object's`)
  assert.ok((await bytesOf(found)).equals(bytes.subarray(start, end)), what)
}

/** Clocks may be wrong, by a day; what is wrong by more was read wrongly. */
function plausibleTime(ms: number | undefined): void {
  if (ms === undefined) return
  assert.ok(Math.abs(ms - Date.now()) < 86_400_000, `${ms} ms since 1970 is not about now`)
}

function s3Etag(etag: string | undefined): void {
  if (etag !== undefined) assert.match(etag, /^[0-9a-f]{32}(-[0-9]+)?$/, 'an etag as S3 says it, without quotes')
}
