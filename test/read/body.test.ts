import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { bytesSource, type Source } from '../../src/core/source.ts'
import { digestsOf } from '../../src/core/digest.ts'
import { seededRandom } from '../../src/testing/clock.ts'
import { type FaultyRule, outage } from '../../src/testing/faulty/rules.ts'
import { settle } from '../core/time.ts'
import { localName, type Place, row, version, type World, world } from './world.ts'

const key = 'films/b.mp4'
// More than is read from local disk at once.
const size = 1_100_000

function bytesOf(seed: number, length = size): Buffer {
  const random = seededRandom(seed)
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at++) bytes[at] = random.number() * 256
  return bytes
}
const right = bytesOf(1)

/** What a reader has seen: the bytes, and how it ended. */
async function readAll(w: World, body: ReadableStream<Uint8Array> | undefined) {
  const chunks: Uint8Array[] = []
  const reading = async (): Promise<unknown> => {
    for await (const chunk of body ?? []) chunks.push(chunk)
    return undefined
  }
  const error = await w.passing(
    reading().then(
      () => undefined,
      (reason: unknown) => reason,
    ),
  )
  const bytes = Buffer.concat(chunks)
  return { bytes, error: error as HoldfastError | undefined }
}

async function both(options: Parameters<typeof world>[0] = {}, bytes: Uint8Array = right): Promise<World> {
  const w = world(options)
  for (const place of w.places) await w.store(place, key, 1, bytes)
  return w
}

function faultAt(place: Place, ...rules: FaultyRule[]): void {
  place.faults.rules = rules.map(rule => ({ on: 'get', ...rule }))
}

const gets = (place: Place): number => place.faults.calls?.filter(({ operation }) => operation === 'get').length ?? 0

function expectNothingOpen(w: World): void {
  expect(w.places.map(({ open }) => open.now)).toEqual(w.places.map(() => 0))
  expect(w.clock.sleeping).toBe(0)
}

test('a large body arrives whole, chunk by chunk, and nothing is read ahead of the reader', async () => {
  const w = await both()
  const found = await w.get(key)
  const reader = found?.body.getReader()
  const first = await reader?.read()
  await settle()
  expect(first?.value?.byteLength).toBeLessThan(size / 4)
  reader?.releaseLock()
  const { bytes, error } = await readAll(w, found?.body)
  expect(error).toBeUndefined()
  expect(Buffer.concat([first?.value ?? Buffer.alloc(0), bytes]).equals(right)).toBe(true)
  await settle()
  expectNothingOpen(w)
})

for (const kind of ['cut', 'stall', 'short'] as const) {
  test(`I26: a body that breaks in the middle (${kind}) goes on at the next provider from that byte`, async () => {
    const w = await both()
    faultAt(w.first, { fault: { kind, after: 400_001 } })
    const found = await w.get(key)
    expect(found?.from).toBe('first')
    const { bytes, error } = await readAll(w, found?.body)
    expect(error).toBeUndefined()
    expect(bytes.equals(right)).toBe(true)
    expect([gets(w.first), gets(w.second)]).toEqual([1, 1])
    expect(w.events).toMatchObject([{ event: 'failover', from: 'first', to: 'second', atByte: 400_001 }])
    expect(w.clock.monotonic()).toBe(kind === 'stall' ? 15_000 : 0)
    await settle()
    expectNothingOpen(w)
  })
}

test('I26: over 1,000 random series of breaks at both providers, every body is the same to the byte', async () => {
  const seed = Number(process.env['HOLDFAST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  console.log(`seed ${seed}`)
  const random = seededRandom(seed)
  const upTo = (limit: number): number => Math.floor(random.number() * limit)
  const kinds = ['cut', 'short', 'stall'] as const
  let breaks = 0
  for (let round = 0; round < 1000; round++) {
    const bytes = right.subarray(0, 265_000 + upTo(200_000))
    const w = world({}, { providers: 2 + upTo(2), breaker: { consecutive: 1000, leastCalls: 1000 } })
    for (const place of w.places) {
      await w.store(place, key, 1, bytes)
      faultAt(
        place,
        ...Array.from({ length: upTo(5) }, (): FaultyRule => {
          const kind = kinds[upTo(kinds.length)] ?? 'cut'
          return { times: 1, fault: { kind, after: upTo(bytes.byteLength) } }
        }),
      )
    }
    const start = upTo(2) * upTo(bytes.byteLength)
    const range = start > 0 ? { start, end: start + 1 + upTo(bytes.byteLength) } : undefined
    const found = await w.passing(w.get(key, range))
    const { bytes: seen, error } = await readAll(w, found?.body)
    const wanted = range === undefined ? bytes : bytes.subarray(range.start, range.end)
    expect(error, `seed ${seed}, round ${round}`).toBeUndefined()
    expect(seen.equals(wanted), `seed ${seed}, round ${round}`).toBe(true)
    breaks += w.events.length
    await settle()
    expectNothingOpen(w)
  }
  expect(breaks).toBeGreaterThan(500)
}, 120_000)

test('I24: a body with one wrong byte errors instead of ending, and its last chunk is not given out', async () => {
  const w = await both()
  faultAt(w.first, { fault: { kind: 'corrupt', atByte: 123 } })
  const { bytes, error } = await readAll(w, (await w.get(key))?.body)
  expect(error).toMatchObject({ code: 'CORRUPT', field: 'digest', key })
  expect(bytes.byteLength).toBeLessThan(size)
  expect(w.events).toContainEqual({ event: 'corrupt', key, version: version(1), from: 'first' })
  expectNothingOpen(w)

  const found = await w.get(key)
  await expect(found?.bytes()).rejects.toMatchObject({ code: 'CORRUPT' })
})

test('I26: what was replaced while it was read is never spliced, whoever has the new one', async () => {
  const other = bytesOf(2)
  const w = await both()
  faultAt(w.first, { times: 1, fault: { kind: 'cut', after: 400_000 } })
  const found = await w.get(key)
  for (const place of w.places) await w.store(place, key, 2, other)
  const { bytes, error } = await readAll(w, found?.body)
  expect(error).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
  expect(error?.message).toMatch(/another version/)
  expect(bytes.equals(right.subarray(0, bytes.byteLength))).toBe(true)
  expectNothingOpen(w)

  const half = await both()
  faultAt(half.first, { times: 1, fault: { kind: 'cut', after: 400_000 } })
  const goesOn = await half.get(key)
  await half.store(half.first, key, 2, other)
  expect((await readAll(half, goesOn?.body)).bytes.equals(right)).toBe(true)
})

test('I26: the same version number over other bytes is not taken for the same object', async () => {
  const w = world()
  await w.store(w.first, key, 1, right)
  await w.store(w.second, key, 1, bytesOf(3))
  faultAt(w.first, { fault: { kind: 'cut', after: 400_000 } })
  const { bytes, error } = await readAll(w, (await w.get(key))?.body)
  expect(error).toBeUndefined()
  expect(bytes.equals(right)).toBe(true)
  expect(gets(w.second)).toBeGreaterThanOrEqual(1)
})

test('I26: a newer version of the same bytes is another object', async () => {
  const w = world()
  await w.store(w.first, key, 1, right)
  await w.store(w.second, key, 2, right)
  faultAt(w.first, { times: 1, fault: { kind: 'cut', after: 400_000 } })
  expect((await readAll(w, (await w.get(key))?.body)).error).toBeUndefined()
  expect(w.events).toMatchObject([{ event: 'failover', from: 'first', to: 'first' }])
})

test('objects that Holdfast did not write go on elsewhere only with the same size and an attested digest', async () => {
  const w = world()
  for (const place of w.places) await w.storeForeign(place, key, right)
  faultAt(w.first, { fault: { kind: 'cut', after: 400_000 } })
  expect((await readAll(w, (await w.get(key))?.body)).bytes.equals(right)).toBe(true)

  const other = world()
  await other.storeForeign(other.first, key, right)
  await other.storeForeign(other.second, key, bytesOf(4))
  faultAt(other.first, { times: 2, fault: { kind: 'cut', after: 400_000 } })
  const { bytes, error } = await readAll(other, (await other.get(key))?.body)
  expect(error).toBeUndefined()
  expect(bytes.equals(right)).toBe(true)
  expect(gets(other.first)).toBe(3)
})

test('a provider that is asked again for the rest is asked under the token of what it gave before', async () => {
  const w = world()
  await w.store(w.first, key, 1, right)
  faultAt(w.first, { times: 1, fault: { kind: 'cut', after: 400_000 } })
  expect((await readAll(w, (await w.get(key))?.body)).bytes.equals(right)).toBe(true)
  const calls = w.first.faults.calls?.filter(({ operation }) => operation === 'get')
  expect(calls?.map(({ conditional }) => conditional)).toEqual([false, true])
})

test('when nobody can go on, the body errors with every reason, after few requests', async () => {
  const w = await both()
  const found = await w.get(key)
  await found?.body.getReader().read()
  for (const place of w.places) faultAt(place, { fault: { kind: 'cut', after: 0 } })
  const again = await w.get(key).catch((error: unknown) => error)
  expect(again).toMatchObject({ code: 'UNAVAILABLE' })

  const other = await both()
  faultAt(other.first, { times: 1, fault: { kind: 'cut', after: 400_000 } }, { fault: outage })
  faultAt(other.second, { fault: outage })
  const { error } = await readAll(other, (await other.get(key))?.body)
  expect(error).toMatchObject({ code: 'UNAVAILABLE', key, version: version(1) })
  expect(error?.message).toMatch(/first.*second|second.*first/)
  expect((error?.cause as AggregateError | undefined)?.errors).toHaveLength(2)
  expect(gets(other.first) + gets(other.second)).toBeLessThan(8)
  expectNothingOpen(other)
})

test('a provider that breaks after every few bytes is not asked for ever', async () => {
  const w = world({}, { breaker: { consecutive: 1000, leastCalls: 1000 } })
  await w.store(w.first, key, 1, right)
  faultAt(w.first, { fault: { kind: 'cut', after: 100 } })
  const { error } = await readAll(w, (await w.get(key))?.body)
  expect(error?.code).toBe('UNAVAILABLE')
  expect(gets(w.first)).toBeLessThan(40)
})

test('local bytes that turn out corrupt in the middle go on at a provider that has the version', async () => {
  const w = world()
  const open = row({ key, n: 1, body: right, at: { 1: 'sending', 2: 'waiting' } })
  await w.store(w.first, key, 1, right)
  w.know(key, { open })
  w.local.set(localName({ tree: 'stage', crc32c: open.crc32c }), breaking(open, 400_000))
  const found = await w.get(key)
  expect(found?.from).toBe('local')
  const { bytes, error } = await readAll(w, found?.body)
  expect(error).toBeUndefined()
  expect(bytes.equals(right)).toBe(true)

  const alone = world()
  alone.know(key, { open })
  const source = breaking(open, 400_000)
  let opened = 0
  alone.local.set(localName({ tree: 'stage', crc32c: open.crc32c }), {
    ...source,
    open(start, end) {
      opened++
      return source.open(start, end)
    },
  })
  const lost = (await readAll(alone, (await alone.get(key))?.body)).error
  expect(lost).toMatchObject({ code: 'CORRUPT', field: 'digest' })
  expect(opened).toBe(1)
})

test('the file of a large local body is open when get resolves, so that it may be unlinked from then on', async () => {
  const w = world()
  const open = row({ key, n: 1, body: right })
  w.know(key, { open })
  let isGone = false
  w.local.set(localName({ tree: 'stage', crc32c: open.crc32c }), {
    ...bytesSource(right, open),
    async *open(start, end) {
      if (isGone)
        throw new HoldfastError('CORRUPT', 'gone', { reason: 'LOCAL_CORRUPT', field: 'body', rule: 'missing' })
      yield right.subarray(start, start + 1)
      yield right.subarray(start + 1, end)
    },
  })
  const found = await w.get(key)
  isGone = true
  expect((await readAll(w, found?.body)).bytes.equals(right)).toBe(true)
})

function breaking(of: { crc32c: string; md5: string }, at: number): Source {
  return {
    ...bytesSource(right, of),
    async *open(start, end) {
      yield right.subarray(start, Math.min(at, end))
      if (end > at) throw new HoldfastError('CORRUPT', 'flipped', { reason: 'LOCAL_CORRUPT', field: 'body' })
    },
  }
}

test('a body that breaks at every provider goes on from local disk while the same version is held there', async () => {
  const w = await both()
  w.know(key, { open: row({ key, n: 1, body: right, at: { 1: 'stored', 2: 'stored' } }) })
  faultAt(w.first, { fault: { kind: 'cut', after: 400_000 } })
  const found = await w.get(key)
  faultAt(w.second, { fault: outage })
  expect((await readAll(w, found?.body)).bytes.equals(right)).toBe(true)
  expect(w.events).toMatchObject([{ event: 'failover', from: 'first', to: 'local' }])
})

test('P14: a reader who leaves closes the connection at once, also while a chunk or another provider is waited for', async () => {
  const w = await both()
  const found = await w.get(key)
  expect(w.first.open.now).toBe(1)
  await found?.body.cancel()
  expectNothingOpen(w)
  expect(w.providers[0]?.breakers.read.state).toBe('up')

  faultAt(w.first, { fault: { kind: 'stall', after: 400_000 } })
  const stalled = (await w.get(key))?.body.getReader()
  const reading = (async () => {
    while ((await stalled?.read())?.done === false);
  })()
  await settle()
  expect(w.first.open.now).toBe(1)
  await stalled?.cancel()
  await reading
  await settle()
  expectNothingOpen(w)

  faultAt(w.first, { fault: { kind: 'cut', after: 400_000 } })
  faultAt(w.second, { fault: { kind: 'hang' } })
  const moving = (await w.get(key))?.body.getReader()
  const going = (async () => {
    while ((await moving?.read())?.done === false);
  })()
  await settle()
  expect(gets(w.second)).toBe(1)
  await moving?.cancel()
  await going
  await settle()
  expectNothingOpen(w)
})

test('P14: a body that nobody reads lets go of its connection, and goes on when it is read after all', async () => {
  const w = await both()
  const found = await w.get(key)
  const reader = found?.body.getReader()
  const first = await reader?.read()
  expect(w.first.open.now).toBe(1)
  await w.clock.advance(60_000)
  expectNothingOpen(w)
  await w.clock.advance(3_600_000)
  const second = await reader?.read()
  expect(w.first.open.now).toBe(1)
  await w.clock.advance(60_000)
  expectNothingOpen(w)
  reader?.releaseLock()
  const rest = await readAll(w, found?.body)
  expect(rest.error).toBeUndefined()
  const seen = [first, second].map(step => step?.value ?? Buffer.alloc(0))
  expect(Buffer.concat([...seen, rest.bytes]).equals(right)).toBe(true)
  expect([gets(w.first), gets(w.second)]).toEqual([3, 0])
  expect(w.events).toEqual([])
})

test('a reader slower than any limit is not cut off as long as it reads', async () => {
  const w = await both()
  const reader = (await w.get(key))?.body.getReader()
  let bytes = 0
  for (let step = await reader?.read(); step?.done === false; step = await reader?.read()) {
    bytes += step.value.byteLength
    await w.clock.advance(50_000)
  }
  expect(bytes).toBe(size)
  expect(gets(w.first)).toBe(1)
})

test('a service that hangs up on a reader who stayed away is not blamed for it', async () => {
  const w = await both()
  for (let i = 0; i < 5; i++) {
    faultAt(w.first, { times: 1, fault: { kind: 'cut', after: 65_536 } })
    const reader = (await w.get(key))?.body.getReader()
    await reader?.read()
    await w.clock.advance(10_000)
    expect((await reader?.read())?.done).toBe(false)
    await reader?.cancel()
  }
  expect(w.providers[0]?.breakers.read.state).toBe('up')
})

test('small bodies that were read and compared already wait in memory', async () => {
  const w = world()
  await w.store(w.first, key, 1, 'small')
  const found = await w.get(key)
  expectNothingOpen(w)
  await w.clock.advance(3_600_000)
  expect(await found?.text()).toBe('small')
  expect(gets(w.first)).toBe(1)
})

test('an abort of the signal of the get ends its body with the reason, read or not, and closes the connection', async () => {
  for (const isReading of [true, false]) {
    const w = await both()
    faultAt(w.first, { fault: { kind: 'stall', after: 400_000 } })
    const controller = new AbortController()
    const found = await w.get(key, undefined, controller.signal)
    const reader = found?.body.getReader()
    const reading = (async () => {
      if (!isReading) return await reader?.closed
      while ((await reader?.read())?.done === false);
      return undefined
    })()
    reading.catch(() => {})
    await settle()
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(reading).rejects.toBe(reason)
    await settle()
    expectNothingOpen(w)
    expect(w.asked(w.second)).toBe(0)
  }
})

test('the breaker hears of a body at its end: headers alone are no success', async () => {
  const w = await both({})
  faultAt(w.first, { fault: { kind: 'cut', after: 400_000 } })
  for (let i = 0; i < 3; i++) {
    expect(w.providers[0]?.breakers.read.state).toBe('up')
    const found = await w.get(key)
    expect((await readAll(w, found?.body)).error).toBeUndefined()
  }
  expect(w.providers[0]?.breakers.read.state).toBe('down')
})

test('text and bytes read the whole, once', async () => {
  const w = await both()
  const found = await w.get(key)
  expect(Buffer.from((await found?.bytes()) ?? []).equals(right)).toBe(true)
  await expect(found?.text()).rejects.toThrow(TypeError)
  const locked = await w.get(key)
  locked?.body.getReader()
  await expect(locked?.bytes()).rejects.toThrow(TypeError)
  await w.store(w.first, 'umlaut', 1, 'grün 🌱')
  expect(await (await w.get('umlaut'))?.text()).toBe('grün 🌱')
})

test('a small body is read once too, as bytes or as a stream, and not after the abort of its get', async () => {
  const w = world()
  await w.store(w.first, key, 1, 'small')
  const found = await w.get(key)
  expect(await found?.text()).toBe('small')
  await expect(found?.bytes()).rejects.toThrow(TypeError)
  expect(await found?.body.getReader().read()).toEqual({ done: true, value: undefined })
  const streamed = await w.get(key)
  expect((await readAll(w, streamed?.body)).bytes.toString()).toBe('small')
  await expect(streamed?.bytes()).rejects.toThrow(TypeError)
  const controller = new AbortController()
  const aborted = await w.get(key, undefined, controller.signal)
  const reason = new Error('enough')
  controller.abort(reason)
  await expect(aborted?.bytes()).rejects.toBe(reason)
})

test('empty bodies, bodies of one byte, and the sizes around what is read whole', async () => {
  const w = world()
  for (const length of [0, 1, 262_143, 262_144, 262_145, 65_536 * 5]) {
    const bytes = bytesOf(length + 7, length)
    await w.store(w.first, key, 1, bytes)
    const found = await w.get(key)
    expect(found?.info).toMatchObject({ size: length, crc32c: digestsOf(bytes).crc32c })
    expect(Buffer.from((await found?.bytes()) ?? []).equals(bytes)).toBe(true)
    await settle()
    expectNothingOpen(w)
  }
})

test('N5: a body that drips is fetched elsewhere', async () => {
  const w = await both()
  faultAt(w.first, { fault: { kind: 'drip', bytes: 10, ms: 1000 } })
  const { bytes, error } = await readAll(w, (await w.passing(w.get(key)))?.body)
  expect(error).toBeUndefined()
  expect(bytes.equals(right)).toBe(true)
  expect(w.clock.monotonic()).toBeLessThan(30_000)
})

test('the stream can be given to whoever takes web streams', async () => {
  const w = await both()
  const found = await w.get(key)
  const response = new Response(found?.body ?? null)
  expect(Buffer.from(await response.arrayBuffer()).equals(right)).toBe(true)
})
