import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import { type CallLimits, guardedItems, guardedSource, watch, withLimits } from '../../src/core/guard.ts'
import { guardedBody, guardProvider } from '../../src/core/guarded.ts'
import { noMemo, type RemoteBody, type RemoteObject } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { systemClock } from '../../src/core/system.ts'
import { memory } from '../../src/providers/memory.ts'
import { type ManualClock, manualClock } from '../../src/testing/clock.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { settle, stoppableClock } from './time.ts'

const never = () => new Promise<never>(() => {})

const strays: unknown[] = []
process.on('unhandledRejection', error => strays.push(error))
afterEach(async () => {
  await settle()
  expect(strays.splice(0)).toEqual([])
})

function limits(clock: ManualClock, more: Partial<CallLimits> = {}): CallLimits {
  return {
    clock,
    idleMs: 1000,
    deadlineMs: 5000,
    signal: undefined,
    about: { what: 'put', provider: 'p', key: 'k' },
    ...more,
  }
}

/** How the promise stands, without waiting for it. */
function watched<T>(promise: Promise<T>) {
  const seen: { value?: T; error?: unknown } = {}
  promise.then(
    value => (seen.value = value),
    error => (seen.error = error),
  )
  return seen
}

const timedOut = expect.objectContaining({ code: 'UNAVAILABLE', reason: 'TIMEOUT', provider: 'p', key: 'k' })

test('work that takes no notice of its signal is given up after the idle time, and what it says later is dropped', async () => {
  const clock = manualClock()
  const late: string[] = []
  const work = Promise.withResolvers<string>()
  let inner: AbortSignal | undefined
  const seen = watched(
    withLimits(
      limits(clock, { about: { what: 'put', provider: 'p', key: 'k', outcome: 'unknown' } }),
      signal => {
        inner = signal
        return work.promise
      },
      value => late.push(value),
    ),
  )
  await clock.advance(999)
  expect(seen).toEqual({})
  await clock.advance(1)
  expect(seen.error).toEqual(timedOut)
  expect(seen.error).toMatchObject({ outcome: 'unknown', retryable: true })
  expect(inner?.reason).toBe(seen.error)
  work.resolve('too late')
  await settle()
  expect(late).toEqual(['too late'])
  expect(clock.sleeping).toBe(0)
})

test('a late rejection of work that was given up harms nobody', async () => {
  const clock = manualClock()
  const work = Promise.withResolvers<never>()
  const seen = watched(withLimits(limits(clock), () => work.promise))
  await clock.advance(1000)
  work.reject(new Error('socket hang up'))
  await settle()
  expect(seen.error).toEqual(timedOut)
})

test('progress postpones the idle limit and not the deadline', async () => {
  const clock = manualClock()
  let progress = () => {}
  const seen = watched(
    withLimits(limits(clock), (_signal, tell) => {
      progress = tell
      return never()
    }),
  )
  for (let passed = 0; passed < 4500; passed += 900) {
    await clock.advance(900)
    if (passed < 3600) expect(seen).toEqual({})
    progress()
  }
  await clock.advance(500)
  expect(String(seen.error)).toMatch('put of "k" took more than 5000 ms')
})

test("the reason of the caller's own abort comes through, at once and also when it aborted before", async () => {
  const clock = manualClock()
  const controller = new AbortController()
  const seen = watched(withLimits(limits(clock, { signal: controller.signal }), never))
  const reason = new Error('left')
  controller.abort(reason)
  await settle()
  expect(seen.error).toBe(reason)
  await expect(withLimits(limits(clock, { signal: controller.signal }), never)).rejects.toBe(reason)
  expect(clock.sleeping).toBe(0)
})

test('what work throws before it waits is a rejection', async () => {
  const clock = manualClock()
  await expect(
    withLimits(limits(clock), () => {
      throw new Error('at once')
    }),
  ).rejects.toThrow('at once')
  expect(clock.sleeping).toBe(0)
})

test('P6, P7: after this process stood still, a limit gives what came meanwhile a turn to be seen', async () => {
  const clock = stoppableClock()
  const answered = Promise.withResolvers<string>()
  const seen = watched(withLimits(limits(clock, { deadlineMs: Number.POSITIVE_INFINITY }), () => answered.promise))
  await clock.standStill(600_000)
  expect(seen).toEqual({})
  await clock.advance(999)
  expect(seen).toEqual({})
  answered.resolve('it was there all the time')
  await settle()
  expect(seen.value).toBe('it was there all the time')

  const silent = watched(withLimits(limits(clock), never))
  await clock.standStill(600_000)
  await clock.standStill(600_000)
  expect(silent.error).toEqual(timedOut)
})

test('P6: a real event loop that was blocked past the limit does not fail a call whose answer had arrived', async () => {
  const { createServer } = await import('node:http')
  const server = createServer((_request, response) => response.end('here'))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  try {
    const call = withLimits(
      { clock: systemClock, idleMs: 60, deadlineMs: 300, signal: undefined, about: { what: 'get' } },
      async signal => await (await fetch(`http://127.0.0.1:${port}/`, { signal })).text(),
    )
    await wait(1)
    const until = performance.now() + 250
    while (performance.now() < until);
    expect(await call).toBe('here')
  } finally {
    server.close()
    server.closeAllConnections()
  }
})

test('a watch that rests does not expire, and counts anew when it is touched', async () => {
  const clock = manualClock()
  let expired = 0
  const own = watch(clock, 100, () => expired++)
  own.touch()
  await clock.advance(99)
  own.rest()
  await clock.advance(1000)
  own.touch()
  await clock.advance(99)
  expect(expired).toBe(0)
  await clock.advance(1)
  expect(expired).toBe(1)
  await clock.advance(1000)
  expect(expired).toBe(1)
  own.touch()
  await clock.advance(100)
  expect(expired).toBe(2)
  own.touch()
  own.end()
  own.touch()
  await settle()
  expect(clock.sleeping).toBe(0)
})

test('every chunk of a source counts as progress', async () => {
  const bytes = Buffer.from('0123456789')
  let progress = 0
  const source = guardedSource(bytesSource(bytes, digestsOf(bytes)), () => progress++)
  const read: Uint8Array[] = []
  for await (const chunk of source.open(2, 5)) read.push(chunk)
  expect(Buffer.concat(read).toString()).toBe('234')
  expect(progress).toBeGreaterThanOrEqual(2)
  expect(source).toMatchObject({ size: 10, ...digestsOf(bytes) })
})

function remote(chunks: () => AsyncIterable<Uint8Array>, end: number) {
  const closed = { times: 0 }
  const object: RemoteObject = {
    key: 'k',
    size: end,
    token: 't',
    etag: undefined,
    modifiedAt: new Date(0),
    headers: { contentType: 'x/y' },
    metadata: {},
    attested: {},
    serverTime: undefined,
  }
  const body: RemoteBody = { object, start: 0, end, body: chunks(), close: async () => void closed.times++ }
  return { body, closed }
}

async function drain(body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<number> {
  let bytes = 0
  for await (const chunk of body) bytes += chunk.byteLength
  return bytes
}

function bodyLimits(clock: ManualClock, signal?: AbortSignal) {
  return { clock, idleMs: 1000, minBytesPerSecond: 1000, provider: 'p', signal }
}

test('a body that ends early or does not end is an error, never a short or long success, and its connection is let go', async () => {
  const clock = manualClock()
  for (const [lengths, reason] of [
    [[4, 5], 'NETWORK'],
    [[4, 7], 'PROTOCOL'],
    [[], 'NETWORK'],
  ] as const) {
    const { body, closed } = remote(async function* () {
      for (const length of lengths) yield new Uint8Array(length)
    }, 10)
    await expect(drain(guardedBody(body, bodyLimits(clock)).body)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason,
    })
    expect(closed.times).toBe(1)
  }
  const { body, closed } = remote(async function* () {
    yield new Uint8Array(10)
  }, 10)
  expect(await drain(guardedBody(body, bodyLimits(clock)).body)).toBe(10)
  expect(closed.times).toBe(0)
  expect(clock.sleeping).toBe(0)
})

test('a broken body stays broken: the next step after the error is the error again, not an end', async () => {
  const { body } = remote(async function* () {
    yield new Uint8Array(1)
    throw new Error('reset')
  }, 10)
  const steps = guardedBody(body, bodyLimits(manualClock())).body[Symbol.asyncIterator]()
  await steps.next()
  await expect(steps.next()).rejects.toThrow('reset')
  await expect(steps.next()).rejects.toThrow('reset')
})

test('a chunk that does not come is waited for so long and no longer; a reader who does not read is not timed', async () => {
  const clock = manualClock()
  const { body, closed } = remote(async function* () {
    yield new Uint8Array(4)
    await never()
  }, 10)
  const steps = guardedBody(body, bodyLimits(clock)).body[Symbol.asyncIterator]()
  await steps.next()
  await clock.advance(3_600_000)
  const seen = watched(steps.next())
  await clock.advance(999)
  expect(seen).toEqual({})
  await clock.advance(1)
  expect(seen.error).toEqual(timedOut)
  expect(closed.times).toBe(1)
  expect(clock.sleeping).toBe(0)
})

test('N5: a body that drips is given up, one that is only slow now and then is not', async () => {
  const clock = manualClock()
  const dripping = remote(async function* () {
    for (let sent = 0; sent < 100; sent++) {
      await clock.sleep(500)
      yield new Uint8Array(1)
    }
  }, 100)
  const seen = watched(drain(guardedBody(dripping.body, bodyLimits(clock)).body))
  await clock.advance(2000)
  expect(seen.error).toEqual(timedOut)
  expect(dripping.closed.times).toBe(1)

  const fine = remote(async function* () {
    for (let sent = 0; sent < 10; sent++) {
      await clock.sleep(900)
      yield new Uint8Array(10_000)
    }
  }, 100_000)
  const done = watched(drain(guardedBody(fine.body, bodyLimits(clock)).body))
  await clock.advance(9000)
  expect(done.value).toBe(100_000)
})

test('P14: leaving a body early, closing one that nobody read, and an abort each let go of the connection once', async () => {
  const clock = manualClock()
  const endless = () =>
    remote(async function* () {
      for (;;) yield new Uint8Array(1)
    }, 1000)

  const left = endless()
  for await (const _chunk of guardedBody(left.body, bodyLimits(clock)).body) break
  expect(left.closed.times).toBe(1)

  const unread = endless()
  const guarded = guardedBody(unread.body, bodyLimits(clock))
  await guarded.close()
  await guarded.close()
  expect(unread.closed.times).toBe(1)
  expect(await drain(guarded.body)).toBe(0)

  const aborted = endless()
  const controller = new AbortController()
  const steps = guardedBody(aborted.body, bodyLimits(clock, controller.signal)).body[Symbol.asyncIterator]()
  await steps.next()
  controller.abort(new Error('enough'))
  await expect(steps.next()).rejects.toThrow('enough')
  expect(aborted.closed.times).toBe(1)
  expect(clock.sleeping).toBe(0)
})

test('an iteration that is left while its step hangs does not hang', async () => {
  const clock = manualClock()
  const hanging = { [Symbol.asyncIterator]: () => ({ next: never, return: never }) }
  const left: unknown[] = []
  const items = guardedItems<never>(hanging, {
    clock,
    idleMs: 1000,
    signal: undefined,
    about: { what: 'list' },
    leave: reason => left.push(reason),
  })
  const seen = watched(items.next())
  await settle()
  await items.return?.()
  await settle()
  expect(seen.error).toMatchObject({ name: 'AbortError' })
  expect(left).toEqual([undefined])
  expect(clock.sleeping).toBe(0)
})

test('N2: of a provider that hangs in every call, every call of the guarded one rejects in time', async () => {
  const clock = manualClock()
  const faults: Faults = {}
  const provider = guardProvider(faulty(memory({ name: 'p' }), faults), {
    clock,
    idleMs: 1000,
    deadlineMs: 5000,
    minBytesPerSecond: 1000,
  })
  const signal = new AbortController().signal
  const bytes = Buffer.alloc(200_000, 7)
  const source = bytesSource(bytes, digestsOf(bytes))
  const put = { key: 'k', source, headers: { contentType: 'x/y' }, metadata: {}, condition: undefined, upload: noMemo }
  await provider.put(put, signal)
  expect(await provider.head('k', signal)).toMatchObject({ size: 200_000 })
  const got = await provider.get({ key: 'k', range: undefined, token: undefined }, signal)
  expect(await drain(got?.body ?? [])).toBe(200_000)
  const listed = []
  for await (const entry of provider.list({ prefix: '', delimiter: '', startAfter: '' }, signal)) listed.push(entry)
  expect(listed).toHaveLength(1)

  faults.rules = [{ fault: { kind: 'hang' } }]
  const list = async () => {
    for await (const _ of provider.list({ prefix: '', delimiter: '', startAfter: '' }, signal));
  }
  const calls: Record<string, Promise<unknown>> = {
    put: provider.put(put, signal),
    head: provider.head('k', signal),
    get: provider.get({ key: 'k', range: undefined, token: undefined }, signal),
    delete: provider.delete('k', undefined, signal),
    list: list(),
    learn: provider.learn(undefined, signal),
    sign: provider.sign(
      {
        method: 'GET',
        key: 'k',
        expiresInSeconds: 1,
        contentType: undefined,
        contentDisposition: undefined,
        createOnly: false,
      },
      signal,
    ),
    abandon: provider.abandon('k', 'u', signal),
  }
  const seen = Object.fromEntries(Object.entries(calls).map(([name, call]) => [name, watched(call)]))
  await clock.advance(5000)
  for (const [name, { error }] of Object.entries(seen)) {
    expect(error, name).toMatchObject({ code: 'UNAVAILABLE', reason: 'TIMEOUT', provider: 'p' })
    const isWrite = name === 'put' || name === 'delete'
    expect((error as HoldfastError).outcome, name).toBe(isWrite ? 'unknown' : undefined)
  }
  expect(clock.sleeping).toBe(0)

  for (const fault of [
    { kind: 'stall', after: 70_000 },
    { kind: 'cut', after: 70_000 },
  ] as const) {
    faults.rules = [{ on: 'get', fault }]
    const body = await provider.get({ key: 'k', range: undefined, token: undefined }, signal)
    const reading = watched(drain(body?.body ?? []))
    await clock.advance(1000)
    expect(reading.error).toMatchObject({ reason: fault.kind === 'stall' ? 'TIMEOUT' : 'NETWORK' })
  }
  faults.rules = [{ on: 'put', fault: { kind: 'stall', after: 70_000 } }]
  const stalled = watched(provider.put(put, signal))
  await clock.advance(1000)
  expect(stalled.error).toMatchObject({ reason: 'TIMEOUT', outcome: 'unknown' })
})
