import { expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { bytesSource, type Source } from '../../src/core/source.ts'
import { outage } from '../../src/testing/faulty/rules.ts'
import { localName, row, textOf, version, world } from './world.ts'

const key = 'k'

/** A source that gives other bytes than it announces. */
function giving(announced: Uint8Array, ...chunks: readonly Uint8Array[]): Source {
  return {
    ...bytesSource(announced, digestsOf(announced)),
    async *open() {
      yield* chunks
    },
  }
}

async function readFrom(announced: Uint8Array, ...chunks: readonly Uint8Array[]) {
  const w = world()
  const open = row({ key, n: 1, body: announced, at: { 1: 'sending', 2: 'waiting' } })
  await w.store(w.second, key, 1, announced)
  w.know(key, { open })
  w.local.set(localName({ tree: 'stage', crc32c: open.crc32c }), giving(announced, ...chunks))
  const found = await w.get(key)
  const bytes = Buffer.from(await w.passing(new Response(found?.body).arrayBuffer()))
  return { from: found?.from, bytes, events: w.events }
}

const small = Buffer.from('small')
const large = Buffer.alloc(1_100_000, 'large')

test.each([
  ['too few', [small.subarray(0, 3)]],
  ['too many', [Buffer.from('smaller')]],
])('a small local copy that gives %s bytes is read at a provider that has the version (I7)', async (_, chunks) => {
  const { from, bytes } = await readFrom(small, ...chunks)
  expect({ from, text: bytes.toString() }).toEqual({ from: 'second', text: 'small' })
})

test.each([
  ['too few', [large.subarray(0, 400_000)]],
  ['too many', [large.subarray(0, 400_000), large]],
])('a large local copy that gives %s bytes goes on at a provider, from where it was right (I7)', async (_, chunks) => {
  const { from, bytes, events } = await readFrom(large, ...chunks)
  expect(from).toBe('local')
  expect(bytes.equals(large)).toBe(true)
  expect(events).toMatchObject([{ event: 'failover', from: 'local', to: 'second', atByte: 400_000 }])
})

test('whose refusal of a range cannot be looked into is one that could not be asked', async () => {
  const w = world()
  await w.store(w.first, key, 1, 'short')
  await w.store(w.second, key, 2, 'long enough')
  w.know(key, { newest: version(2) })
  w.first.faults.rules = [{ on: 'head', fault: outage }]
  expect(await textOf(await w.passing(w.get(key, { start: 5 })))).toBe('enough')
})
