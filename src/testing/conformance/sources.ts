import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { digestsOf } from '../../core/digest.ts'
import { HoldfastError } from '../../core/errors.ts'
import type { Source } from '../../core/source.ts'
import { type Bench, bytesOf, type Check, content, failure, plainHeaders, refused, sourceOf } from './bench.ts'

/** What a put reads: in any chunks, from the beginning each time, compared with what was announced, and given up when it breaks. */
export function testSources(check: Check): void {
  check('chunks of any size make the same object', async bench => {
    const bytes = content(3000)
    for (const chunkBytes of [1, 7, 1000, 3000]) {
      const key = `${bench.under}${chunkBytes}`
      await bench.put(key, sourceOf(bytes, { chunkBytes }))
      await holds(bench, key, bytes)
    }
    const withEmptyChunks: Source = {
      ...sourceOf(bytes),
      async *open(start, end) {
        yield new Uint8Array(0)
        yield bytes.subarray(start, (start + end) >>> 1)
        yield new Uint8Array(0)
        yield bytes.subarray((start + end) >>> 1, end)
        yield new Uint8Array(0)
      },
    }
    await bench.put(`${bench.under}empty chunks`, withEmptyChunks)
    await holds(bench, `${bench.under}empty chunks`, bytes)
  })

  check('chunks are only read', async bench => {
    const bytes = content(bench.largest, 5)
    const before = digestsOf(bytes)
    await bench.put(`${bench.under}key`, bytes)
    assert.deepEqual(digestsOf(bytes), before)
  })

  check('one source makes several objects, at the same time too', async bench => {
    const bytes = content(70_000)
    const source = sourceOf(bytes, { chunkBytes: 4096 })
    const keys = ['a', 'b', 'c'].map(name => bench.under + name)
    await Promise.all(keys.map(key => bench.put(key, source)))
    for (const key of keys) await holds(bench, key, bytes)
  })

  check('bytes that are not those announced are not stored, where the service is said to compare', async bench => {
    for (const size of new Set([1000, bench.largest])) {
      const bytes = content(size)
      const { proof } = await bench.put(`${bench.under}right ${size}`, bytes)
      if (proof === 'none') continue
      const key = `${bench.under}${size}`
      const lying: Source = { ...sourceOf(bytes), ...digestsOf(content(size, 2)) }
      await refused(bench.put(key, lying), 'CHECKSUM', 'DIGEST')
      assert.equal(await bench.head(key), undefined)
      await bench.put(key, 'before')
      await refused(bench.put(key, lying), 'CHECKSUM', 'DIGEST')
      assert.equal(await bench.text(key), 'before')
    }
  })

  check('a source that breaks in the middle stores nothing, and its own error comes out', async bench => {
    for (const size of new Set([200_000, bench.largest])) {
      const key = `${bench.under}${size}`
      const broken = new HoldfastError('CORRUPT', 'the local bytes are damaged', { reason: 'LOCAL_CORRUPT' })
      assert.equal(await failure(bench.put(key, breaking(content(size), size / 2, broken))), broken)
      assert.equal(await bench.head(key), undefined)
      await bench.put(key, 'before')
      const error = new Error('disk on fire')
      const came = await failure(bench.put(key, breaking(content(size), size / 2, error)))
      assert.ok(
        came === error || came instanceof HoldfastError,
        `the source's error, or a classified one: ${String(came)}`,
      )
      assert.equal(await bench.text(key), 'before')
      await bench.put(key, content(size))
      await holds(bench, key, content(size))
    }
  })

  check('a source that breaks at once stores nothing', async bench => {
    const key = `${bench.under}key`
    const broken = new HoldfastError('CORRUPT', 'the local bytes are damaged', { reason: 'LOCAL_CORRUPT' })
    assert.equal(await failure(bench.put(key, breaking(content(1000), 0, broken))), broken)
    assert.equal(await bench.head(key), undefined)
  })

  check('calls that are over have let go of the signal', async bench => {
    const { provider, under } = bench
    const { signal } = new AbortController()
    const key = `${under}key`
    await bench.put(key, content(10_000), { signal })
    await provider.head(key, signal)
    const found = await provider.get({ key, range: undefined, token: undefined }, signal)
    assert.ok(found)
    await bytesOf(found)
    const closed = await provider.get({ key, range: undefined, token: undefined }, signal)
    await closed?.close()
    for await (const entry of provider.list({ prefix: under, delimiter: '', startAfter: '' }, signal)) {
      assert.equal(entry.type, 'object')
    }
    await provider.delete(key, undefined, signal)
    await provider.head(key, signal)
    const broken = breaking(content(1000), 0, new Error('broken'))
    const upload = { saved: undefined, save: async (): Promise<void> => {} }
    const request = { key, source: broken, headers: plainHeaders, metadata: {}, condition: undefined, upload }
    await failure(provider.put(request, signal))
    await new Promise(resolve => setTimeout(resolve, 50))
    assert.equal(getEventListeners(signal, 'abort').length, 0, 'listeners left on the signal')
  })
}

function breaking(bytes: Uint8Array, at: number, error: Error): Source {
  return sourceOf(bytes, {
    before(place) {
      if (place >= at) throw error
    },
  })
}

async function holds(bench: Bench, key: string, bytes: Uint8Array): Promise<void> {
  const found = await bench.provider.get({ key, range: undefined, token: undefined }, bench.signal)
  assert.ok(found && (await bytesOf(found)).equals(bytes))
}
