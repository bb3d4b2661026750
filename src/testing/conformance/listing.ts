import assert from 'node:assert/strict'
import { type Bench, type Check, collect, each, expectedList, shape, soon } from './bench.ts'

/** Everything, once, in the order of UTF-8 bytes, from anywhere, folded at a delimiter. */
export function testListing(check: Check): void {
  check('a listing of nothing is empty', async bench => {
    assert.deepEqual(await bench.list({}), [])
    assert.deepEqual(await bench.list({ delimiter: '/' }), [])
    assert.deepEqual(await bench.list({ startAfter: bench.under }), [])
  })

  check('a listing is in the order of UTF-8 bytes', async bench => {
    const names = [
      '\u{1f600}',
      '\uff5e',
      '\ue000',
      'z',
      'a',
      'a/b',
      'a-b',
      'a0',
      'B',
      '\u00e9',
      'a/a',
      '~',
      '0',
      '10',
      '9',
    ]
    const keys = names.map(name => bench.under + name).filter(key => bench.provider.refuseKey(key) === undefined)
    await each(keys, 8, async key => void (await bench.put(key, key)))
    await settled(bench, keys.length)
    await compare(bench, keys, {})
  })

  check('prefix, delimiter and beginning give what they mean together', async bench => {
    const { under } = bench
    const names = [
      ['a', 'a-1', 'a-2/x', 'a/1', 'a/2', 'a/b/1', 'a/b/2', 'a/b-1', 'a/c', 'a0', 'a0/1', 'aa/1', 'aa/2'],
      ['b', 'b/1/2/3', 'c-d-e', 'c-d/e', 'c/d-e', 'z/1', 'z/2', 'zz'],
    ].flat()
    const keys = names.map(name => under + name)
    await each(keys, 8, async key => void (await bench.put(key, key)))
    await settled(bench, keys.length)
    for (const prefix of ['', 'a', 'a/', 'a/b', 'a/b/', 'a/b/1', 'a/b/1/', 'b/1/', 'c', 'nothing', 'z/']) {
      for (const delimiter of ['', '/', '-']) {
        await compare(bench, keys, { prefix: under + prefix, delimiter })
      }
    }
    for (const after of [
      'a',
      'a/',
      'a/1',
      'a/2',
      'a/b/2',
      'a/b0',
      'a/c',
      'a/zzz',
      'a0',
      'a0/1',
      'b',
      'c-d-e',
      'z/2',
      'zz',
      'zzz',
    ]) {
      for (const delimiter of ['', '/', '-']) {
        await compare(bench, keys, { delimiter, startAfter: under + after })
        await compare(bench, keys, { prefix: `${under}a`, delimiter, startAfter: under + after })
        await compare(bench, keys, { prefix: `${under}a/`, delimiter, startAfter: under + after })
      }
    }
    await compare(bench, keys, { startAfter: 'a' })
    await compare(bench, keys, { startAfter: '\u{10ffff}' })
  })

  check('a listing of many pages has everything once', async bench => {
    const count = bench.pageProbe
    const keys = Array.from({ length: count }, (_none, index) => `${bench.under}${index % 7}/${index}`)
    await each(keys, 32, async key => void (await bench.put(key, '')))
    await settled(bench, count)
    await compare(bench, keys, {})
    await compare(bench, keys, { delimiter: '/' })
    await compare(bench, keys, { prefix: `${bench.under}3/` })
    await compare(bench, keys, { startAfter: keys[count >>> 1] ?? '' })
    await compare(bench, keys, { delimiter: '/', startAfter: `${bench.under}3/` })
  })

  check('leaving a listing early is no trouble', async bench => {
    const { provider, signal, under } = bench
    const keys = Array.from({ length: 20 }, (_none, index) => `${under}${index}`)
    await each(keys, 8, async key => void (await bench.put(key, '')))
    await settled(bench, keys.length)
    for (let round = 0; round < 30; round++) {
      const iterator = provider.list({ prefix: under, delimiter: '', startAfter: '' }, signal)[Symbol.asyncIterator]()
      for (let i = 0; i < round % 3; i++) assert.equal((await iterator.next()).done, false)
      await soon(Promise.resolve(iterator.return?.()), 'leaving')
    }
    await compare(bench, keys, {})
  })

  check('a listing shows what was put and not what was deleted, where that is said to be so at once', async bench => {
    if (!bench.capabilities.listsAtOnce) return
    const { provider, signal, under } = bench
    for (let round = 0; round < 5; round++) {
      const key = `${under}${round}`
      await bench.put(key, 'body')
      assert.deepEqual(shape(await bench.list({})), [`object ${key}`])
      await provider.delete(key, undefined, signal)
      assert.deepEqual(await bench.list({}), [])
    }
  })
}

async function compare(
  bench: Bench,
  keys: readonly string[],
  some: { prefix?: string; delimiter?: string; startAfter?: string },
): Promise<void> {
  const request = { prefix: bench.under, delimiter: '', startAfter: '', ...some }
  assert.deepEqual(shape(await bench.list(request)), expectedList(keys, request), JSON.stringify(request))
}

/** Waits for listings that are late, where the provider says that they are. */
async function settled(bench: Bench, count: number): Promise<void> {
  if (bench.capabilities.listsAtOnce) return
  const request = { prefix: bench.under, delimiter: '', startAfter: '' }
  while ((await collect(bench.provider.list(request, bench.signal))).length < count) {
    await new Promise(resolve => setTimeout(resolve, 200))
  }
}
