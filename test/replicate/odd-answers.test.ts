import { describe, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import { identityKey } from '../../src/core/key.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { makeVersion } from '../../src/core/version.ts'
import type { Task } from '../../src/journal/contract.ts'
import { memory } from '../../src/providers/memory.ts'
import { admit, canary, confirmIdentity, identityOf, newIdentity } from '../../src/replicate/admit.ts'
import { checkProvider } from '../../src/replicate/check.ts'
import { clear } from '../../src/replicate/clear.ts'
import { fetchInto } from '../../src/replicate/fetch.ts'
import { lookAgain } from '../../src/replicate/look.ts'
import { writeMarker } from '../../src/replicate/marker.ts'
import type { Stage } from '../../src/stage/stage.ts'
import { manualClock, seededRandom } from '../../src/testing/clock.ts'
import { putAt } from './mending.ts'

// Services whose answers do not fit together: of a step, what no sequence of calls of a store brings about at will.

const signal = new AbortController().signal
const clock = manualClock(Date.UTC(2026, 0, 1))
const random = seededRandom(1)
const identity = '0123abcd-0123-0123-0123-0123456789ab'

async function put(provider: Provider, key: string, text: string): Promise<void> {
  const bytes = Buffer.from(text)
  const source = bytesSource(bytes, digestsOf(bytes))
  await provider.put(
    { key, source, headers: { contentType: 'text/plain' }, metadata: {}, condition: undefined, upload: noMemo },
    signal,
  )
}

function targetOf(provider: Provider) {
  return { id: 1, provider, capabilities: provider.capabilities, skew: {} } as unknown as Parameters<typeof clear>[0]
}

/** Another writer is always faster. */
const lost = () => Promise.reject(new HoldfastError('PRECONDITION', 'replaced', { reason: 'CONDITION' }))

test('a bucket with another identity than the one that is remembered is not written to (I43)', async () => {
  const provider = memory({ name: 'a' })
  await put(provider, identityKey, JSON.stringify({ format: 1, identity }))
  const remembered = { identity: '99999999-0123-0123-0123-0123456789ab', capabilities: undefined }
  const other = { code: 'DENIED', reason: 'IDENTITY', message: expect.stringContaining(identity) }
  await expect(admit(provider, remembered, { clock, proposal: newIdentity(random) }, signal)).rejects.toMatchObject(
    other,
  )
  await expect(confirmIdentity(provider, remembered.identity, signal)).rejects.toMatchObject(other)
  await confirmIdentity(provider, undefined, signal)
  expect(await identityOf(provider, signal)).toBe(identity)
})

test('a service that takes the identity, or the canary, and does not have it is not one to be replicated to', async () => {
  const provider: Provider = { ...memory({ name: 'a' }), head: async () => undefined, get: async () => undefined }
  const nothing = { identity: undefined, capabilities: undefined }
  const forgetful = { code: 'UNAVAILABLE', reason: 'SERVER', retryable: true }
  await expect(admit(provider, nothing, { clock, proposal: newIdentity(random) }, signal)).rejects.toMatchObject(
    forgetful,
  )
  await expect(canary(provider, random, signal)).rejects.toMatchObject(forgetful)
})

test('check says that the clock of this machine is ahead, and what to do', async () => {
  const provider = memory({ name: 'a', clock })
  const ahead = manualClock(clock.now() + 3_600_000)
  const found = await checkProvider(provider, { identity: undefined, capabilities: undefined }, ahead, random, signal)
  expect(found.ok).toBe(false)
  expect(found.findings.join()).toContain('is 3600 s ahead of the provider')
})

test('where others replace the object, or the marker, again and again, a delete is tried later', async () => {
  const version = makeVersion(clock.now() + 60_000, 0, '00000000000000aa')
  const now = () => clock.now()
  const inner = memory({ name: 'a', clock })
  await put(inner, 'k', 'body')
  const busy = targetOf({ ...inner, delete: lost, put: lost })
  await expect(clear(busy, 'k', version, now, signal)).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'SERVER' })
  await expect(writeMarker(busy, 'k', version, now, signal)).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    reason: 'SERVER',
    outcome: 'unknown',
  })
  expect(await inner.head('k', signal)).toMatchObject({ size: 4 })
})

test('an object that was replaced, or deleted, between look and fetch is not taken for the one that was seen (I7)', async () => {
  const provider = memory({ name: 'a' })
  const stage = {} as Stage
  expect(await fetchInto(stage, provider, 'k', undefined, signal)).toBeUndefined()
  await put(provider, 'k', 'body')
  const token = (await provider.head('k', signal))?.token ?? ''
  const weak: Provider = { ...provider, capabilities: { ...provider.capabilities, readIf: false } }
  for (const wanted of [
    { token: 'of another', size: 4, crc32c: undefined },
    { token, size: 5, crc32c: undefined },
  ])
    await expect(fetchInto(stage, weak, 'k', wanted, signal)).rejects.toMatchObject({
      code: 'PRECONDITION',
      reason: 'CONDITION',
    })
})

describe('the second look', () => {
  const now = () => clock.now()
  const later = makeVersion(clock.now() + 3_600_000, 0, '00000000000000aa')
  const mine = makeVersion(clock.now() - 60_000, 0, '00000000000000aa')

  test('does not follow a version from a clock that is far ahead (M8, I41)', async () => {
    const provider = memory({ name: 'a', clock })
    await putAt(provider, 'k', 'body', { version: later })
    const task = { write: { kind: 'delete', key: 'k', version: mine }, replica: {} } as unknown as Task
    await expect(lookAgain({ task, target: targetOf(provider), now, signal })).rejects.toMatchObject({
      code: 'BLOCKED',
      reason: 'CLOCK',
      key: 'k',
    })
  })

  test('that finds an object, and cannot read it back, is done again later', async () => {
    const inner = memory({ name: 'a', clock })
    await putAt(inner, 'k', 'body', { version: mine })
    const provider: Provider = {
      ...inner,
      async head(key, given) {
        const found = await inner.head(key, given)
        return found && { ...found, attested: {} }
      },
      get: async () => undefined,
    }
    const digests = digestsOf(Buffer.from('body'))
    const layout = { etag: digests.md5, parts: [{ count: 1, bytes: 4 }] }
    const attributes = { contentType: 'text/plain', cacheControl: 'max-age=60', metadata: {} }
    const write = { kind: 'put', key: 'k', version: mine, size: 4, ...digests, layout, attributes, acceptedAt: now() }
    const task = { write, replica: { storedAt: now(), proof: 'none' } } as unknown as Task
    await expect(lookAgain({ task, target: targetOf(provider), now, signal })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'SERVER',
      key: 'k',
      message: expect.stringContaining('went away between'),
    })
  })
})
