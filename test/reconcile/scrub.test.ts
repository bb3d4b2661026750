import { describe, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import type { Drift } from '../../src/reconcile/types.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'

/** A hundred keys ten times a second. */
const quick = { scrub: { objectsPerDay: 86_400_000 } }
const soon = () => AbortSignal.timeout(10_000)

async function remove(provider: Provider, key: string): Promise<void> {
  await provider.delete(key, undefined, soon())
}

/** The same object with another content type: what a careless tool does. Bytes, metadata and so our own entry stay. */
async function retype(provider: Provider, key: string, contentType: string): Promise<void> {
  const answer = await provider.get({ key, range: undefined, token: undefined }, soon())
  if (answer === undefined) throw new Error(`${provider.name} has no ${key}`)
  const chunks: Uint8Array[] = []
  for await (const chunk of answer.body) chunks.push(Uint8Array.from(chunk))
  const bytes = Buffer.concat(chunks)
  const { metadata } = answer.object
  const source = bytesSource(bytes, digestsOf(bytes))
  await provider.put({ key, source, headers: { contentType }, metadata, condition: undefined, upload: noMemo }, soon())
}

async function fill(store: Holdfast, count: number): Promise<string[]> {
  const keys = Array.from({ length: count }, (_, index) => `k${String(index).padStart(4, '0')}`)
  await Promise.all(keys.map(key => store.put(key, `body of ${key}`)))
  await store.drain({ until: 'verified' })
  return keys
}

async function passes(store: Holdfast): Promise<number> {
  const begun = Date.now()
  await eventually(async () => ((await store.status()).scrub?.lastPass?.startedAt.getTime() ?? 0) >= begun)
  return begun
}

describe('the scrub', () => {
  test('finds by itself what is missing or has other attributes, tells of it, and repairs it (I10, I28)', async () => {
    await using directory = await testDirectory()
    const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
    const store = await directory.open([a, b], quick)
    const found: Drift[] = []
    store.on('drift', drift => found.push(drift))
    await fill(store, 5)
    await remove(b, 'k0002')
    await retype(b, 'k0004', 'text/wrong')
    const isRight = async () => (await b.head('k0004', soon()))?.headers.contentType !== 'text/wrong'
    await eventually(async () => (await keysOf(b)).length === 5 && (await isRight()))
    // A repair may be there before it is told that it was queued.
    await eventually(async () => found.length > 1)
    const told = found.map(({ key, kind, repair }) => [key, kind, repair])
    expect(told).toContainEqual(['k0002', 'missing', 'queued'])
    expect(told).toContainEqual(['k0004', 'different', 'queued'])
    expect(await bodyAt(b, 'k0002')).toEqual(Buffer.from('body of k0002'))
    await passes(store)
    const { scrub } = await store.status()
    expect(scrub?.lastPass).toMatchObject({ checked: 5, differences: 0, impossible: 0, unknown: 0 })
  })

  test('goes on where it was when the directory is opened again', async () => {
    await using directory = await testDirectory()
    const providers = [memory({ name: 'a' }), memory({ name: 'b' })] as const
    const first = await directory.open(providers)
    await fill(first, 120)
    await first.close()
    const second = await directory.open(providers, quick)
    const cursor = await eventually(async () => {
      const { scrub } = await second.status()
      return scrub?.cursor === '' ? undefined : scrub?.cursor
    })
    await second.close()
    const third = await directory.open(providers, { scrub: { objectsPerDay: 1 } })
    const { scrub } = await third.status()
    expect((scrub?.cursor ?? '') >= cursor || scrub?.lastPass !== undefined).toBe(true)
    expect((scrub?.pass.checked ?? 0) + (scrub?.lastPass?.checked ?? 0)).toBeGreaterThan(0)
  })

  test('asks for nothing before it is due', async () => {
    await using directory = await testDirectory()
    const faults: Faults = {}
    const [a, b] = [faulty(memory({ name: 'a' }), faults), memory({ name: 'b' })]
    const store = await directory.open([a, b], { scrub: { objectsPerDay: 1440 } })
    await fill(store, 3)
    faults.calls = []
    await new Promise(resolve => setTimeout(resolve, 700))
    expect((faults.calls ?? []).filter(({ key }) => key?.startsWith('k') === true)).toEqual([])
  })

  test('stops at what looks like a mass change, and goes on after a repair that a person confirmed (I28)', async () => {
    await using directory = await testDirectory()
    const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
    const store = await directory.open([a, b], { scrub: { objectsPerDay: 1 } })
    const keys = await fill(store, 120)
    for (const key of keys) await remove(b, key)
    await store.close()
    const again = await directory.open([a, b], quick)
    const stopped = await eventually(async () => (await again.status()).scrub?.stopped)
    expect(stopped).toMatchObject({ rule: 'many' })
    await again.drain()
    const repaired = (await keysOf(b)).length
    expect(repaired).toBeLessThanOrEqual(50)
    await new Promise(resolve => setTimeout(resolve, 500))
    expect((await keysOf(b)).length).toBe(repaired)
    expect(await keysOf(a)).toEqual(keys)

    await again.reconcile({ repair: true, confirm: true })
    await again.drain()
    expect(await keysOf(b)).toEqual(keys)
    expect((await again.status()).scrub?.stopped).toBeUndefined()
  })

  test('writes nothing to a bucket that is not the one it was (I14, I28)', async () => {
    await using directory = await testDirectory()
    const faults: Faults = {}
    const inner = memory({ name: 'b' })
    const [a, b] = [memory({ name: 'a' }), faulty(inner, faults)]
    const store = await directory.open([a, b], { scrub: { objectsPerDay: 1 } })
    const keys = await fill(store, 20)
    for (const key of [...keys, '.holdfast/identity']) await remove(inner, key)
    await store.close()
    faults.calls = []
    const again = await directory.open([a, b], quick)
    const stopped = await eventually(async () => (await again.status()).scrub?.stopped)
    expect(stopped).toMatchObject({ rule: 'identity', provider: 'b' })
    expect((faults.calls ?? []).filter(({ operation }) => operation === 'put' || operation === 'delete')).toEqual([])
    expect(await keysOf(a)).toEqual(keys)
  })

  test('with deep, bytes that rotted at a provider are found and replaced (I7, I22)', async () => {
    await using directory = await testDirectory()
    const faults: Faults = {}
    const [a, b] = [memory({ name: 'a' }), faulty(memory({ name: 'b' }), faults)]
    const store = await directory.open([a, b], { scrub: { objectsPerDay: 86_400_000, deep: true } })
    const found: Drift[] = []
    await fill(store, 3)
    store.on('drift', drift => found.push(drift))
    faults.rules = [{ on: 'get', key: 'k0001', times: 1, fault: { kind: 'corrupt', atByte: 2 } }]
    const drift = await eventually(() => found.find(({ key }) => key === 'k0001'))
    expect(drift).toMatchObject({ kind: 'different', repair: 'queued' })
    expect(drift.providers).toContainEqual(expect.objectContaining({ provider: 'b', has: 'damaged' }))
  })

  test('options that cannot be meant are refused', async () => {
    await using directory = await testDirectory()
    const providers = [memory({ name: 'a' }), memory({ name: 'b' })] as const
    const open = (scrub: unknown) => directory.open(providers, { scrub } as never)
    await expect(open({})).rejects.toMatchObject({ code: 'INVALID', field: 'scrub.objectsPerDay', rule: 'missing' })
    await expect(open({ objectsPerDay: 0 })).rejects.toMatchObject({ field: 'scrub.objectsPerDay', rule: 'range' })
    await expect(open({ objectsPerDay: 10, dep: true })).rejects.toMatchObject({ rule: 'unknown' })
    await expect(open(7)).rejects.toMatchObject({ code: 'INVALID', field: 'scrub', rule: 'type' })
  })
})
