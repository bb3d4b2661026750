import assert from 'node:assert/strict'
import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { noMemo, type Provider, type PutRequest } from '../../src/core/provider.ts'
import { memory } from '../../src/providers/memory.ts'
import { prefixed } from '../../src/providers/prefixed.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { bytesOf, collect, content, sourceOf } from '../../src/testing/conformance/bench.ts'
import { testProvider } from '../../src/testing/conformance.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { accountClosed, type Faults, outage, throttled } from '../../src/testing/faulty/rules.ts'

testProvider({ test, name: 'faulty without faults', create: async () => ({ provider: faulty(memory(), {}) }) })
testProvider({
  test,
  name: 'faulty under a prefix',
  create: async () => ({ provider: prefixed(faulty(memory(), {}), 'p/') }),
})

const { signal } = new AbortController()

function putOf(key: string, body: string | Uint8Array): PutRequest {
  const headers = { contentType: 'text/plain' }
  return {
    key,
    source: sourceOf(body, { chunkBytes: 10 }),
    headers,
    metadata: { a: 'b' },
    condition: undefined,
    upload: noMemo,
  }
}

async function read(provider: Provider, key: string): Promise<string | undefined> {
  const found = await provider.get({ key, range: undefined, token: undefined }, signal)
  return found && (await bytesOf(found)).toString('utf8')
}

async function caught(promise: Promise<unknown>): Promise<HoldfastError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof HoldfastError, String(error))
  return error
}

test('a rule treats the calls that match it, after those it skips, as often as it says', async () => {
  const faults: Faults = { rules: [{ on: 'head', key: /^a/, skip: 1, times: 2, fault: throttled }] }
  const provider = faulty(memory(), faults)
  await provider.head('b', signal)
  await provider.head('a', signal)
  for (let i = 0; i < 2; i++) {
    expect(await caught(provider.head('a', signal))).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'THROTTLED',
      key: 'a',
    })
  }
  await provider.head('a', signal)
  expect(faults.calls?.map(call => `${call.operation} ${call.key} ${call.state} ${call.fault ?? '-'}`)).toEqual([
    'head b resolved -',
    'head a resolved -',
    'head a rejected fail',
    'head a rejected fail',
    'head a resolved -',
  ])
})

test('rules can be changed at any time, and healed', async () => {
  const faults: Faults = { rules: [{ fault: accountClosed }] }
  const provider = faulty(memory({ name: 'm' }), faults)
  const error = await caught(provider.put(putOf('k', 'x'), signal))
  expect(error).toMatchObject({
    code: 'DENIED',
    reason: 'ACCOUNT',
    outcome: 'rejected',
    provider: 'm',
    retryable: false,
  })
  expect(await caught(collect(provider.list({ prefix: '', delimiter: '', startAfter: '' }, signal)))).toMatchObject({
    reason: 'ACCOUNT',
  })
  faults.rules = [{ on: ['put', 'delete'], fault: outage }]
  expect(await caught(provider.delete('k', undefined, signal))).toMatchObject({ reason: 'NETWORK', outcome: 'unknown' })
  expect(await provider.head('k', signal)).toBeUndefined()
  faults.rules = []
  await provider.put(putOf('k', 'x'), signal)
  expect(await read(provider, 'k')).toBe('x')
})

test('a call that hangs ends with the reason of its signal', async () => {
  const provider = faulty(memory(), { rules: [{ fault: { kind: 'hang' } }] })
  const stop = new AbortController()
  const reason = new Error('enough')
  const calls = [
    provider.head('k', stop.signal),
    provider.put(putOf('k', 'x'), stop.signal),
    collect(provider.list({ prefix: '', delimiter: '', startAfter: '' }, stop.signal)),
  ].map(call => call.catch((error: unknown) => error))
  stop.abort(reason)
  expect(await Promise.all(calls)).toEqual([reason, reason, reason])
})

test('a lost answer is a write that happened', async () => {
  const provider = faulty(memory(), { rules: [{ on: ['put', 'delete'], fault: { kind: 'lose-answer' } }] })
  expect(await caught(provider.put(putOf('k', 'x'), signal))).toMatchObject({ reason: 'NETWORK', outcome: 'unknown' })
  expect(await read(provider, 'k')).toBe('x')
  await caught(provider.delete('k', undefined, signal))
  expect(await provider.head('k', signal)).toBeUndefined()
})

test('a late put arrives after its time, whatever was written meanwhile', async () => {
  const clock = manualClock()
  const faults: Faults = { rules: [{ on: 'put', times: 1, fault: { kind: 'late', ms: 60_000 } }] }
  const provider = faulty(memory({ clock }), faults, { clock })
  expect(await caught(provider.put(putOf('k', 'old'), signal))).toMatchObject({ outcome: 'unknown' })
  await provider.put(putOf('k', 'new'), signal)
  await clock.advance(59_999)
  expect(await read(provider, 'k')).toBe('new')
  await clock.advance(1)
  await faults.calls?.[0]?.applied
  expect(await read(provider, 'k')).toBe('old')
})

test('a lie says yes and does nothing', async () => {
  const faults: Faults = { rules: [{ fault: { kind: 'lie' } }] }
  const provider = faulty(memory(), faults)
  expect(await provider.put(putOf('k', 'x'), signal)).toMatchObject({ proof: 'server-full' })
  expect(await provider.head('k', signal)).toBeUndefined()
  faults.rules = []
  await provider.put(putOf('k', 'x'), signal)
  faults.rules = [{ fault: { kind: 'lie' } }]
  await provider.delete('k', undefined, signal)
  expect(await read(provider, 'k')).toBe('x')
})

test('bodies and listings break where they are told to', async () => {
  const faults: Faults = {}
  const provider = faulty(memory(), faults)
  const bytes = content(100_000)
  for (const key of ['a', 'b', 'c']) await provider.put(putOf(key, bytes), signal)
  const part = async (): Promise<{ bytes: number; error: unknown }> => {
    const found = await provider.get({ key: 'a', range: { start: 10 }, token: undefined }, signal)
    let got = 0
    try {
      for await (const chunk of found?.body ?? []) got += chunk.byteLength
      return { bytes: got, error: undefined }
    } catch (error) {
      return { bytes: got, error }
    }
  }
  faults.rules = [{ fault: { kind: 'cut', after: 70_001 } }]
  expect(await part()).toEqual({ bytes: 70_001, error: expect.objectContaining({ reason: 'NETWORK' }) })
  faults.rules = [{ fault: { kind: 'cut', after: 2 } }]
  expect(await caught(collect(provider.list({ prefix: '', delimiter: '', startAfter: '' }, signal)))).toMatchObject({
    reason: 'NETWORK',
  })
  faults.rules = [{ fault: { kind: 'short', after: 5 } }]
  expect(await part()).toEqual({ bytes: 5, error: undefined })
  faults.rules = [{ fault: { kind: 'short', after: 2 } }]
  expect(await collect(provider.list({ prefix: '', delimiter: '', startAfter: '' }, signal))).toHaveLength(2)
  faults.rules = [{ fault: { kind: 'empty-list' } }]
  expect(await collect(provider.list({ prefix: '', delimiter: '', startAfter: '' }, signal))).toEqual([])
  faults.rules = [{ fault: { kind: 'cut', after: 50_000 } }]
  expect(await caught(provider.put(putOf('d', bytes), signal))).toMatchObject({ reason: 'NETWORK' })
  expect(await provider.head('d', signal)).toBeUndefined()
})

test('a body that stalls gives what came before, and ends with its signal', async () => {
  const faults: Faults = {}
  const provider = faulty(memory(), faults)
  await provider.put(putOf('k', content(1000)), signal)
  faults.rules = [{ fault: { kind: 'stall', after: 400 } }]
  const stop = new AbortController()
  const found = await provider.get({ key: 'k', range: undefined, token: undefined }, stop.signal)
  const iterator = found?.body[Symbol.asyncIterator]()
  expect((await iterator?.next())?.value).toHaveLength(400)
  const next = iterator?.next().catch((error: unknown) => error)
  const reason = new Error('idle')
  stop.abort(reason)
  expect(await next).toBe(reason)

  const put = provider.put(putOf('other', content(1000)), AbortSignal.timeout(20)).catch((error: unknown) => error)
  expect(await put).toMatchObject({ name: 'TimeoutError' })
  expect(await provider.head('other', signal)).toBeUndefined()
})

test('a corrupted byte is one bit, read or stored', async () => {
  const faults: Faults = {}
  const provider = faulty(memory(), faults)
  await provider.put(putOf('k', 'abcabc'), signal)
  faults.rules = [{ on: 'get', fault: { kind: 'corrupt', atByte: 3 } }]
  expect(await read(provider, 'k')).toBe('abc`bc')
  faults.rules = [{ on: 'put', fault: { kind: 'corrupt', atByte: 3 } }]
  await provider.put(putOf('k', 'abcabc'), signal)
  expect(await read(provider, 'k')).toBe('abc`bc')
  faults.rules = [{ fault: { kind: 'strip' } }]
  await provider.put(putOf('k', 'abc'), signal)
  expect(await provider.head('k', signal)).toMatchObject({
    headers: { contentType: 'application/x-stripped' },
    metadata: {},
  })
})

test('a test can stand in the way of a call, before it and after', async () => {
  const faults: Faults = {}
  const provider = faulty(memory(), faults)
  const order: string[] = []
  const gate = Promise.withResolvers<void>()
  faults.rules = [
    {
      on: 'put',
      key: 'k',
      fault: {
        kind: 'before',
        run: async () => {
          order.push('before')
          await gate.promise
        },
      },
    },
    {
      on: 'delete',
      fault: {
        kind: 'after',
        run: async () => {
          order.push(`after: ${await read(provider, 'k')}`)
        },
      },
    },
  ]
  const put = provider.put(putOf('k', 'x'), signal).then(() => order.push('put'))
  expect(await provider.head('k', signal)).toBeUndefined()
  gate.resolve()
  await put
  await provider.delete('k', undefined, signal)
  expect(order).toEqual(['before', 'put', 'after: undefined'])
})

test('a slow call takes its time on the clock of the test, and is absent where told so', async () => {
  const clock = manualClock()
  const faults: Faults = { rules: [{ on: 'head', fault: { kind: 'slow', ms: 5000 } }] }
  const provider = faulty(memory({ clock }), faults, { clock })
  let done = false
  const head = provider.head('k', signal).then(() => {
    done = true
  })
  await clock.advance(4999)
  expect(done).toBe(false)
  await clock.advance(1)
  await head
  faults.rules = [{ fault: { kind: 'absent' } }]
  await provider.put(putOf('k', 'x'), signal)
  expect(await provider.head('k', signal)).toBeUndefined()
  expect(await read(provider, 'k')).toBeUndefined()
  expect(await collect(provider.list({ prefix: '', delimiter: '', startAfter: '' }, signal))).toHaveLength(1)
  faults.rules = [{ on: 'get', fault: { kind: 'drip', bytes: 1, ms: 1000 } }]
  await provider.put(putOf('k', 'xyz'), signal)
  const body = read(provider, 'k')
  await clock.advance(3000)
  expect(await body).toBe('xyz')
})

test('a fault that a call cannot have is a mistake of the test', async () => {
  const provider = faulty(memory(), { rules: [{ on: 'head', fault: { kind: 'lie' } }] })
  await expect(async () => await provider.head('k', signal)).rejects.toThrow(TypeError)
})
