import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { seededRandom } from '../../src/testing/clock.ts'
import { emptyBody, joined, sliced, type Body } from '../../src/testing/local/bodies.ts'
import { faultBook } from '../../src/testing/local/faults.ts'
import { type Page, page, type Question } from '../../src/testing/local/s3/listing.ts'
import { sortedKeys } from '../../src/testing/local/sorted.ts'
import { openStore, type Store } from '../../src/testing/local/store.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
console.log(`seed ${seed} (SEED=${seed} to repeat)`)
const random = seededRandom(seed)
const below = (limit: number): number => Math.floor(random.number() * limit)
const pick = <Item>(items: readonly Item[]): Item => items[below(items.length)] as Item
const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))
const alphabet = ['a', 'b', '/', '-', 'ü', '\uffee', '😀', '\u{10ffff}']
const word = (): string => Array.from({ length: 1 + below(5) }, () => pick(alphabet)).join('')

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-local-cloud-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

describe('sorted keys', () => {
  test('are those of a plain set, in the order of their bytes, after any number of changes', () => {
    const sorted = sortedKeys()
    const model = new Set<string>()
    for (let step = 0; step < 6_000; step++) {
      const key = `${word()}${word()}`
      if (model.has(key)) {
        model.delete(key)
        sorted.delete(key)
      } else {
        model.add(key)
        sorted.add(key)
      }
    }
    const expected = [...model].sort(byBytes)
    expect(sorted.size).toBe(expected.length)
    expect([...sorted.walk({ from: '' })]).toEqual(expected)
    for (let step = 0; step < 20; step++) {
      const at = pick([word(), pick(expected)])
      expect([...sorted.walk({ from: at })]).toEqual(expected.filter(key => byBytes(key, at) >= 0))
      expect([...sorted.walk({ after: at })]).toEqual(expected.filter(key => byBytes(key, at) > 0))
      const past = expected.filter(key => byBytes(key, at) > 0 && !key.startsWith(at))
      expect([...sorted.walk({ pastPrefix: at })]).toEqual(past)
    }
    for (const key of expected) sorted.delete(key)
    expect([...sorted.walk({ from: '' })]).toEqual([])
  })
})

describe('a page of a listing', () => {
  const shown = (text: string): string => text
  const ask = (prefix: string, delimiter: string, most: number): Question => ({
    prefix,
    delimiter,
    most,
    encoded: false,
    shown,
  })

  test('follows the one before it until everything was there once', () => {
    const store = openStore({ kind: 'test', directory: undefined, discard: false })
    const space = store.space<null>('objects')
    const keys = [...new Set(Array.from({ length: 500 }, () => `${word()}${word()}`))].sort(byBytes)
    store.commit(keys.map(key => space.put(key, { facts: null, body: emptyBody })))
    for (let round = 0; round < 300; round++) {
      const [prefix, delimiter, most] = [
        pick(['', word().slice(0, 1), word()]),
        pick(['', '/', 'a']),
        pick([1, 2, 3, 10, 1_000]),
      ]
      if (!prefix.isWellFormed()) continue
      const expected = new Set(
        keys
          .filter(key => key.startsWith(prefix))
          .map(key => {
            const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
            return cut < 0 ? key : `${key.slice(0, cut + delimiter.length)} …`
          }),
      )
      const found: string[] = []
      let start: Parameters<typeof page>[2] | undefined = { after: '' }
      while (start !== undefined) {
        const { objects, prefixes, next }: Page<null> = page(space, ask(prefix, delimiter, most), start)
        expect(objects.length + prefixes.length).toBeLessThanOrEqual(most)
        const all = [...objects.map(({ key }) => key), ...prefixes.map(each => `${each} …`)]
        found.push(...all.sort((a, b) => byBytes(a.replace(/ …$/, ''), b.replace(/ …$/, ''))))
        start = next
      }
      expect([prefix, delimiter, most, found]).toEqual([prefix, delimiter, most, [...expected]])
    }
  })

  test('of 200,000 keys is found without walking through them', () => {
    const store = openStore({ kind: 'test', directory: undefined, discard: false })
    const space = store.space<null>('objects')
    for (let i = 0; i < 200_000; i++) store.commit([space.put(`${i % 100}/${i}`, { facts: null, body: emptyBody })])
    const begun = performance.now()
    for (let round = 0; round < 50; round++) {
      expect(page(space, ask('', '/', 1_000), { after: '' }).prefixes).toHaveLength(100)
      expect(page(space, ask('77/', '/', 10), { after: '77/5' }).objects).toHaveLength(10)
      store.commit([space.put(`new/${round}`, { facts: null, body: emptyBody })])
      store.commit([space.remove(`new/${round}`)])
    }
    expect((performance.now() - begun) / 50).toBeLessThan(50)
  })
})

describe('a store', () => {
  const open = (): Store => openStore({ kind: 'test', directory, discard: false })
  const text = async (store: Store, body: Body, start = 0, end = body.size): Promise<string> => {
    const opened = store.open(body, start, end)
    if (opened instanceof Uint8Array) return Buffer.from(opened).toString()
    const chunks = await Array.fromAsync(opened.chunks())
    opened.close()
    return Buffer.concat(chunks).toString()
  }

  test.each(['memory', 'disk'])('in %s cuts and joins bodies without moving bytes, and shares them', async where => {
    const store = where === 'disk' ? open() : openStore({ kind: 'test', directory: undefined, discard: false })
    const space = store.space<string>('things')
    const writer = store.writer()
    for (let i = 0; i < 40; i++) await writer.write(Buffer.alloc(50_000, String(i % 10)))
    const large = await writer.finish()
    const small = store.bodyOf(Buffer.from('small'))
    expect(large.size).toBe(2_000_000)
    const whole = joined([small, sliced(large, 49_999, 50_003), small, large])
    store.commit([space.put('large', { facts: 'l', body: large }), space.put('small', { facts: 's', body: small })])
    // In this order, a store that counts as it goes would free the bytes before they are used again.
    store.commit([space.remove('large'), space.remove('small'), space.put('whole', { facts: 'w', body: whole })])
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(await text(store, whole, 0, 16)).toBe('small0111small00')
    expect(await text(store, whole, 3, 11)).toBe('ll0111sm')
    const expected = `small0111small${Array.from({ length: 40 }, (_, i) => String(i % 10).repeat(50_000)).join('')}`
    expect((await text(store, whole)) === expected).toBe(true)
    expect((await text(store, whole, 1_000_000, 1_300_000)) === expected.slice(1_000_000, 1_300_000)).toBe(true)
    store.close()
  })

  test('has after a start what it had before, also when its log was written anew', async () => {
    let store = open()
    const model = new Map<string, string>()
    for (let life = 0; life < 3; life++) {
      const space = store.space<number>('things')
      for (let i = 0; i < 30_000; i++) {
        const key = String(below(200))
        if (random.number() < 0.2) {
          model.delete(key)
          store.commit([space.remove(key)])
        } else {
          model.set(key, `${life} ${i}`)
          const body = i % 100 === 0 ? store.bodyOf(Buffer.from(`${life} ${i}`)) : emptyBody
          if (i % 100 !== 0) model.set(key, '')
          store.commit([space.put(key, { facts: i, body })])
        }
      }
      store.close()
      store = open()
      const found = store.space<number>('things')
      const all = [...found.keys({ from: '' })]
      expect(all).toEqual([...model.keys()].sort(byBytes))
      for (const key of all) expect(await text(store, found.get(key)?.body ?? emptyBody)).toBe(model.get(key))
    }
    store.close()
  }, 60_000)
})

describe('fault rules', () => {
  test('let the first pass that they skip, and are used up after their times', () => {
    const book = faultBook()
    const name = { operation: 'Op', bucket: 'b', key: 'k', listing: false }
    const fault = { kind: 'lose-answer' } as const
    book.add({ skip: 2, times: 1, fault })
    book.add({ match: { method: 'get' }, fault: { kind: 'html' } })
    const kinds = (method: string) => book.decide(method, name)?.fault.kind
    expect([kinds('PUT'), kinds('GET'), kinds('PUT'), kinds('PUT'), kinds('GET')]).toEqual([
      undefined,
      'html',
      'lose-answer',
      undefined,
      'html',
    ])
  })
})
