import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { bytesSource } from '../../src/core/source.ts'
import { digestsOf } from '../../src/core/digest.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { testDirectory } from '../support/store.ts'

const patience = AbortSignal.timeout(30_000)

test('a key is seen from everywhere: on its way, then the same at all, then missing at one', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const waiting = await directory.open([a, b], { replication: { run: 'external' } })
  const { version } = await waiting.put('k', 'body', { metadata: { owner: 'me' } })
  expect(await waiting.inspect('k')).toMatchObject({
    journal: {
      isOpen: true,
      open: {
        kind: 'put',
        version,
        size: 4,
        replicas: [
          { provider: 'a', state: 'waiting' },
          { provider: 'b', state: 'waiting' },
        ],
      },
    },
    providers: [{ provider: 'a' }, { provider: 'b' }],
    agree: true,
  })
  await waiting.close()

  const store = await directory.open([a, b])
  await store.drain({ until: 'verified' })
  const same = await store.inspect('k', { deep: true })
  const object = { version, whose: 'ours', size: 4, bytesRead: 4, attributes: { metadata: { owner: 'me' } } }
  expect(same).toMatchObject({ providers: [{ object }, { object }], agree: true })

  await b.delete('k', undefined, patience)
  const lacking = await store.inspect('k')
  expect(lacking).toMatchObject({
    agree: false,
    providers: [{ provider: 'a', object: { version } }, { provider: 'b' }],
  })
  expect(lacking.providers[1]).not.toHaveProperty('object')
})

test('a delete shows as a marker; an object beside it agrees with nothing', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const store = await directory.open([a, b])
  await store.put('k', 'body', { ack: 'all' })
  const { version } = await store.delete('k', { ack: 'all' })
  await store.drain({ until: 'verified' })
  const gone = await store.inspect('k')
  expect(gone).toMatchObject({
    agree: true,
    journal: { deleted: version },
    providers: [{ marker: { version } }, { marker: { version } }],
  })
})

test('what another tool wrote is foreign; the same bytes at both agree, other bytes do not', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  await Promise.all([write(a, 'same', 'x'), write(b, 'same', 'x'), write(a, 'other', 'x'), write(b, 'other', 'y')])
  const store = await directory.open([a, b])
  expect(await store.inspect('same')).toMatchObject({ agree: true, providers: [{ object: { whose: 'foreign' } }, {}] })
  expect(await store.inspect('other', { deep: true })).toMatchObject({ agree: false })
})

test('who cannot be asked is in the answer, and nobody agrees with that', async () => {
  await using directory = await testDirectory()
  const b = faulty(memory({ name: 'b' }), {
    rules: [{ on: 'head', fault: { kind: 'fail', code: 'UNAVAILABLE', reason: 'NETWORK' } }],
  })
  const store = await directory.open([memory({ name: 'a' }), b])
  const { agree, providers } = await store.inspect('k')
  expect(agree).toBe(false)
  expect(providers[1]?.error?.code).toBe('UNAVAILABLE')
})

test.each([
  ['', {}, { code: 'INVALID', field: 'key' }],
  ['k', { deep: 1 }, { code: 'INVALID', field: 'deep' }],
  ['k', { depe: true }, { code: 'INVALID', field: 'depe', rule: 'unknown' }],
])('inspect(%o, %o) is refused', async (key, options, wanted) => {
  await using directory = await testDirectory()
  const store = await directory.open([memory({ name: 'a' }), memory({ name: 'b' })])
  await expect(store.inspect(key, options as object)).rejects.toMatchObject(wanted)
})

test('a signal ends it', async () => {
  await using directory = await testDirectory()
  const store = await directory.open([memory({ name: 'a' }), memory({ name: 'b' })])
  await expect(store.inspect('k', { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
})

async function write(provider: Provider, key: string, text: string): Promise<void> {
  const bytes = Buffer.from(text)
  await provider.put(
    {
      key,
      source: bytesSource(bytes, digestsOf(bytes)),
      headers: { contentType: 'text/plain' },
      metadata: {},
      condition: undefined,
      upload: noMemo,
    },
    patience,
  )
}

test('an object that goes away while all of it is to be read is one that could not be asked', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const faults: Faults = {}
  const store = await directory.open([a, faulty(b, faults)])
  await store.put('k', 'body')
  await store.drain({ until: 'verified' })
  const run = () => b.delete('k', undefined, patience).then(() => {})
  faults.rules = [{ on: 'head', key: 'k', times: 1, fault: { kind: 'after', run } }]
  const error = { code: 'UNAVAILABLE', reason: 'CONDITION', message: expect.stringContaining('replaced between') }
  expect(await store.inspect('k', { deep: true })).toMatchObject({
    agree: false,
    providers: [
      { provider: 'a', object: { size: 4 } },
      { provider: 'b', error },
    ],
  })
})
