import { once } from 'node:events'
import { createReadStream, mkdtempSync, openAsBlob, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex, PassThrough, Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, describe, expect, test } from 'vitest'
import { longestChunkBytes, type ReadBodyOptions, readBody } from '../../src/core/body.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import { refusalOf, rejectionOf } from './support.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-body-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** The whole body, each chunk copied as soon as it comes, as a consumer must. */
async function bytesOf(body: unknown, options?: ReadBodyOptions): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of readBody(body, options).chunks) {
    expect(chunk.byteLength).toBeLessThanOrEqual(longestChunkBytes)
    chunks.push(Uint8Array.from(chunk))
  }
  return Buffer.concat(chunks)
}

const textOf = async (body: unknown, options?: ReadBodyOptions): Promise<string> =>
  (await bytesOf(body, options)).toString('utf8')

const failed = (body: unknown, options?: ReadBodyOptions): ReturnType<typeof rejectionOf> =>
  rejectionOf(() => bytesOf(body, options))

async function* yielding(...chunks: unknown[]): AsyncGenerator {
  yield* chunks
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

function detachedBuffer(): ArrayBuffer {
  const memory = new ArrayBuffer(8)
  structuredClone(memory, { transfer: [memory] })
  return memory
}

describe('all forms of a body are read', () => {
  const table: Record<string, [body: () => unknown, text: string, knownSize: number | undefined]> = {
    'a string': [() => 'héllo 😀', 'héllo 😀', 11],
    'an empty string': [() => '', '', 0],
    'a Uint8Array': [() => encode('hello'), 'hello', 5],
    'an empty Uint8Array': [() => new Uint8Array(), '', 0],
    'a Buffer': [() => Buffer.from('hello'), 'hello', 5],
    'part of a larger buffer': [() => Buffer.from('say hello now').subarray(4, 9), 'hello', 5],
    'an ArrayBuffer': [() => encode('hello').buffer, 'hello', 5],
    'a DataView': [() => new DataView(encode('say hello').buffer, 4), 'hello', 5],
    'a view of other numbers': [() => new Uint16Array([0x6568, 0x6c6c]), 'hell', 4],
    'a Blob': [() => new Blob(['hel', 'lo']), 'hello', 5],
    'a File': [() => new File(['hello'], 'a.txt'), 'hello', 5],
    'a web stream': [() => new Response('hello').body, 'hello', undefined],
    'a web stream of bytes': [
      () =>
        new ReadableStream({
          type: 'bytes',
          start(controller) {
            controller.enqueue(encode('hello'))
            controller.close()
          },
        }),
      'hello',
      undefined,
    ],
    'a Node stream': [() => Readable.from([Buffer.from('hel'), Buffer.from('lo')]), 'hello', undefined],
    'a PassThrough': [() => new PassThrough().end('hello'), 'hello', undefined],
    'an async generator': [() => yielding(encode('hel'), encode('lo')), 'hello', undefined],
    'an async iterable that is no generator': [
      () => ({ [Symbol.asyncIterator]: () => yielding(encode('hello')) }),
      'hello',
      undefined,
    ],
    'a plain generator': [
      () =>
        (function* () {
          yield encode('hello')
        })(),
      'hello',
      undefined,
    ],
    'zero-length chunks between others': [
      () => yielding(new Uint8Array(), encode('hel'), Buffer.alloc(0), encode('lo'), new Uint8Array()),
      'hello',
      undefined,
    ],
    'chunks of other views': [
      () => yielding(encode('hel').buffer, new DataView(encode('lo').buffer)),
      'hello',
      undefined,
    ],
    'nothing at all': [() => yielding(), '', undefined],
  }
  for (const [name, [body, text, knownSize]] of Object.entries(table)) {
    test(name, async () => {
      expect(readBody(body()).knownSize).toBe(knownSize)
      expect(await textOf(body())).toBe(text)
      const size = Buffer.byteLength(text)
      if (knownSize !== undefined) expect(await textOf(body(), { expectedSize: size })).toBe(text)
      else expect(readBody(body(), { expectedSize: size }).knownSize).toBe(size)
    })
  }

  test('a file, as a stream and as a Blob', async () => {
    const path = join(directory, 'hello')
    writeFileSync(path, 'hello')
    expect(await textOf(createReadStream(path))).toBe('hello')
    expect(await textOf(await openAsBlob(path))).toBe('hello')
  })

  test('huge bodies come in pieces of at most 1 MiB, and whole', async () => {
    const large = Buffer.alloc(2 * longestChunkBytes + 1, 'holdfast ')
    const forms = [
      large,
      large.toString('latin1'),
      new Blob([large]),
      Readable.from([large]),
      yielding(large),
      new Response(large).body,
    ]
    for (const body of forms) expect((await bytesOf(body)).equals(large)).toBe(true)
  })

  test('no character of a long text is cut apart', async () => {
    for (const start of ['', 'x', 'xy', 'xyz']) {
      const text = start + '😀'.repeat(longestChunkBytes / 2)
      expect((await textOf(text)) === text).toBe(true)
    }
  })

  test('gzip that is none, and anything else, are bytes like others', async () => {
    const bytes = Buffer.from([0x1f, 0x8b, 0, 0xff, 0xfe])
    expect(await bytesOf(bytes)).toEqual(bytes)
  })

  test('memory is not written to', async () => {
    const bytes = Buffer.from('hello')
    await bytesOf(bytes)
    expect(bytes.toString()).toBe('hello')
  })

  test('a stream that was looked at and put back is whole', async () => {
    const stream = new PassThrough()
    stream.write('hello')
    const first: unknown = stream.read(2)
    stream.unshift(first)
    stream.end()
    expect(await textOf(stream)).toBe('hello')
  })
})

describe('what is no body is refused before anything is read', () => {
  const throwing = () => {
    throw new RangeError('mine')
  }
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const table: Record<string, unknown> = {
    undefined: undefined,
    null: null,
    'a number': 5,
    'a bigint': 5n,
    'a boolean': true,
    'a symbol': Symbol('x'),
    'a function': () => 'x',
    'a plain object': { a: 1 },
    'an object with toString': { toString: () => 'x' },
    'a String object': Object('x'),
    'an array of bytes': [1, 2, 3],
    'an array of buffers': [Buffer.from('x')],
    'a Map': new Map(),
    'a Set of buffers': new Set([Buffer.from('x')]),
    'a Date': new Date(),
    'a promise': Promise.resolve('x'),
    'a Response': new Response('x'),
    'a Request': new Request('http://localhost/'),
    'URL parameters': new URLSearchParams('a=b'),
    'a stream that can only be written': new Writable(),
    'a proxy that throws': new Proxy({}, { get: throwing }),
    'a proxy of bytes': new Proxy(Buffer.from('x'), { get: throwing }),
    'a proxy whose prototype throws': new Proxy({}, { getPrototypeOf: throwing }),
    'a revoked proxy': revoked.proxy,
    'a getter that throws': Object.defineProperty({}, Symbol.asyncIterator, { get: throwing }),
  }
  for (const [name, body] of Object.entries(table)) {
    test(name, () =>
      expect(refusalOf(() => readBody(body))).toMatchObject({ code: 'INVALID', field: 'body', rule: 'type' }),
    )
  }

  test('the message says what to do', () => {
    expect(refusalOf(() => readBody(Promise.resolve('x'))).message).toContain('(await it)')
    expect(refusalOf(() => readBody(new Response('x'))).message).toContain('(give its .body)')
    expect(refusalOf(() => readBody(yielding)).message).toContain('(call it, if it is a generator)')
  })

  test('text with an unpaired surrogate', () => {
    expect(refusalOf(() => readBody('ab\ud800c'))).toMatchObject({
      field: 'body',
      rule: 'unicode',
      message: 'body has an unpaired surrogate at index 2',
    })
  })

  const memories: Record<string, [body: unknown, rule: string]> = {
    'a detached ArrayBuffer': [detachedBuffer(), 'detached'],
    'a view of a detached ArrayBuffer': [
      (() => {
        const view = new Uint8Array(8)
        structuredClone(view, { transfer: [view.buffer] })
        return view
      })(),
      'detached',
    ],
    'shared memory, which may change': [new SharedArrayBuffer(8), 'shared'],
    'a view of shared memory': [new Uint8Array(new SharedArrayBuffer(8)), 'shared'],
  }
  for (const [name, [body, rule]] of Object.entries(memories)) {
    test(name, () => expect(refusalOf(() => readBody(body))).toMatchObject({ code: 'INVALID', field: 'body', rule }))
  }
})

describe('streams whose bytes are gone, or somebody else’s, are refused before anything is read (P15)', () => {
  const refused = (body: unknown): ReturnType<typeof refusalOf> => refusalOf(() => readBody(body))
  const web = (): ReadableStream => new Response('hello').body ?? new ReadableStream()

  test('a locked web stream', () => {
    const stream = web()
    stream.getReader()
    expect(refused(stream)).toMatchObject({ code: 'INVALID', field: 'body', rule: 'locked' })
  })

  test('a web stream that was read from', async () => {
    const stream = web()
    const reader = stream.getReader()
    await reader.read()
    reader.releaseLock()
    expect(refused(stream)).toMatchObject({ field: 'body', rule: 'disturbed' })
  })

  test('a web stream that was cancelled', async () => {
    const stream = web()
    await stream.cancel()
    expect(refused(stream)).toMatchObject({ field: 'body', rule: 'disturbed' })
  })

  test('a web stream that has failed', () => {
    const stream = new ReadableStream({ start: controller => controller.error(new Error('gone')) })
    expect(refused(stream)).toMatchObject({ field: 'body', rule: 'errored' })
  })

  test('a destroyed Node stream', () => {
    const stream = Readable.from([Buffer.from('x')])
    stream.destroy()
    expect(refused(stream)).toMatchObject({ code: 'INVALID', field: 'body', rule: 'destroyed' })
  })

  test('a Node stream that has failed', () => {
    const stream = new PassThrough()
    stream.destroy(new Error('gone'))
    expect(refused(stream)).toMatchObject({ field: 'body', rule: 'errored' })
  })

  test('a Node stream that was read to its end, as a request after a body parser', async () => {
    const stream = new PassThrough()
    stream.end('hello')
    await buffer(stream)
    expect(refused(stream)).toMatchObject({ field: 'body', rule: 'ended' })
  })

  test('a Node stream that flows to somebody else', async () => {
    const stream = new PassThrough()
    stream.write('hello')
    stream.resume()
    await once(stream, 'data')
    expect(refused(stream)).toMatchObject({ field: 'body', rule: 'disturbed' })
    stream.destroy()
  })

  test('a duplex that cannot be read', () => {
    const options = { readable: false, write() {} }
    expect(refused(new Duplex(options))).toMatchObject({ field: 'body', rule: 'ended' })
  })

  test('a Node stream of text', () => {
    const stream = new PassThrough()
    stream.setEncoding('utf8')
    expect(refused(stream)).toMatchObject({ field: 'body', rule: 'encoding' })
  })
})

describe('bodies that yield anything but bytes', () => {
  const table: Record<string, unknown> = {
    'a string': 'x',
    undefined: undefined,
    null: null,
    'a number': 5,
    'an array of bytes': [1, 2],
    'an object': { a: 1 },
  }
  for (const [name, chunk] of Object.entries(table)) {
    test(`${name}, from a generator`, async () => {
      const refusal = await failed(yielding(encode('a'), encode('b'), encode('c'), chunk))
      expect(refusal).toMatchObject({ code: 'INVALID', field: 'body', rule: 'chunk' })
      expect(refusal.message).toMatch(/^body chunk 3 is not bytes, got /)
    })
  }

  test('a stream of objects', async () => {
    const stream = new Readable({ objectMode: true, read() {} })
    stream.push({ a: 1 })
    expect(await failed(stream)).toMatchObject({ field: 'body', rule: 'chunk' })
    expect(stream.destroyed).toBe(true)
  })

  test('a web stream of text', async () => {
    const stream = new ReadableStream({ start: controller => controller.enqueue('hello') })
    expect(await failed(stream)).toMatchObject({ field: 'body', rule: 'chunk' })
    expect((await failed(yielding('hello'))).message).toContain('(encode it, or leave out setEncoding)')
  })

  test('a detached chunk, which would be silently empty', async () => {
    expect(await failed(yielding(encode('a'), detachedBuffer()))).toMatchObject({ rule: 'detached' })
  })

  test('a chunk of shared memory', async () => {
    expect(await failed(yielding(new Uint8Array(new SharedArrayBuffer(1))))).toMatchObject({ rule: 'shared' })
  })

  test('an iterator that answers no result', async () => {
    const odd = { [Symbol.asyncIterator]: () => ({ next: async () => 5 }) }
    expect(await failed(odd)).toMatchObject({ field: 'body', rule: 'source' })
  })

  test('an iterator without next', async () => {
    expect(await failed({ [Symbol.asyncIterator]: () => ({}) })).toMatchObject({ field: 'body', rule: 'source' })
  })
})

describe('bodies that fail (P15)', () => {
  async function* failing(error: unknown): AsyncGenerator<Uint8Array> {
    yield encode('hello')
    throw error
  }

  test('their error is the cause', async () => {
    const error = new Error('the client went away')
    const caught: unknown = await bytesOf(failing(error)).catch((thrown: unknown) => thrown)
    expect(caught).toMatchObject({ code: 'INVALID', field: 'body', rule: 'source', outcome: 'rejected', cause: error })
    expect((caught as Error).message).toBe('the body failed after 5 bytes: "the client went away"')
  })

  test('also where it is none, or one of ours about something else', async () => {
    for (const error of [undefined, 'x', new HoldfastError('UNAVAILABLE', 'x')]) {
      expect(await failed(failing(error))).toMatchObject({ code: 'INVALID', field: 'body', rule: 'source' })
    }
  })

  test('a Node stream that is destroyed on the way', async () => {
    const stream = new PassThrough()
    stream.write('hello')
    setImmediate(() => stream.destroy())
    expect(await failed(stream)).toMatchObject({ field: 'body', rule: 'source' })
  })

  test('a file that is not there: an error that nobody listens to harms nobody', async () => {
    const stream = createReadStream(join(directory, 'nothing'))
    const body = readBody(stream)
    await new Promise<void>(resolve => void stream.on('close', () => resolve()))
    await expect(body.chunks[Symbol.asyncIterator]().next()).rejects.toMatchObject({ field: 'body', rule: 'source' })
  })

  test('memory that is detached on the way', async () => {
    const bytes = Buffer.alloc(3 * longestChunkBytes)
    const chunks = readBody(bytes).chunks[Symbol.asyncIterator]()
    await chunks.next()
    structuredClone(bytes, { transfer: [bytes.buffer] })
    const error: unknown = await chunks.next().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'INVALID', field: 'body', rule: 'source' })
    expect((error as Error).message).toContain('detached')
  })

  test('memory that shrinks on the way', async () => {
    const memory = new ArrayBuffer(2 * longestChunkBytes, { maxByteLength: 2 * longestChunkBytes })
    const chunks = readBody(memory).chunks[Symbol.asyncIterator]()
    await chunks.next()
    memory.resize(longestChunkBytes)
    await expect(chunks.next()).rejects.toMatchObject({ field: 'body', rule: 'source' })
  })

  test('a file behind a Blob that changed since', async () => {
    const path = join(directory, 'changing')
    writeFileSync(path, 'hello')
    const blob = await openAsBlob(path)
    writeFileSync(path, 'a longer text')
    expect(await failed(blob)).toMatchObject({ code: 'INVALID', field: 'body', rule: 'source' })
  })
})

test.each([4, 6])('a Blob of 5 bytes that says %s is found out', async size => {
  const liar = { [Symbol.toStringTag]: 'Blob', size, stream: () => new Response('hello').body }
  expect(await failed(liar)).toMatchObject({ code: 'INVALID', field: 'body', rule: 'source' })
})

describe('sizes', () => {
  test.each([9, 11, 0])('declared 10, got %s: CHECKSUM, of memory before it is read', size => {
    const refusal = refusalOf(() => readBody(Buffer.alloc(size), { expectedSize: 10 }))
    expect(refusal).toMatchObject({ code: 'CHECKSUM', field: 'size' })
    expect(refusal.message).toContain(`expected 10, computed ${size}`)
  })

  test.each([9, 11, 0])('declared 10, got %s: CHECKSUM, of a stream on the way', async size => {
    const refusal = await failed(Readable.from([Buffer.alloc(size)]), { expectedSize: 10 })
    expect(refusal).toMatchObject({ code: 'CHECKSUM', field: 'size' })
    expect(refusal.message).toContain(`expected 10, computed ${size}`)
  })

  test('the first byte too many ends it, without the rest', async () => {
    let asked = 0
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        asked++
        yield new Uint8Array(1)
      }
    }
    expect((await failed(endless(), { expectedSize: 10 })).message).toContain('expected 10, computed 11')
    expect(asked).toBe(11)
  })

  test('declared 10, got 10', async () => {
    expect(await bytesOf(yielding(Buffer.alloc(4), Buffer.alloc(6)), { expectedSize: 10 })).toHaveLength(10)
    expect(await bytesOf(Buffer.alloc(10), { expectedSize: 10 })).toHaveLength(10)
    expect(await bytesOf('', { expectedSize: 0 })).toHaveLength(0)
  })

  const limit = { bytes: 10, provider: 'small' }
  test('more than the provider with the least room takes is refused: before reading, where it is known', async () => {
    const expected = { code: 'INVALID', field: 'size', rule: 'limit', provider: 'small' }
    expect(refusalOf(() => readBody(Buffer.alloc(11), { limit }))).toMatchObject(expected)
    expect(refusalOf(() => readBody(yielding(), { limit, expectedSize: 11 }))).toMatchObject(expected)
    expect(await failed(yielding(Buffer.alloc(10), Buffer.alloc(1)), { limit })).toMatchObject(expected)
    expect(await bytesOf(yielding(Buffer.alloc(10)), { limit })).toHaveLength(10)
  })
})

describe('letting go (P15, P16)', () => {
  /** A body of each kind that never yields a second chunk, and whether it was let go of. */
  const hanging: Record<string, () => { body: unknown; letGo: () => boolean }> = {
    'a Node stream': () => {
      const body = new PassThrough()
      body.write('hello')
      return { body, letGo: () => body.destroyed }
    },
    'a web stream': () => {
      let isCancelled = false
      const body = new ReadableStream({
        start: controller => controller.enqueue(encode('hello')),
        cancel: () => {
          isCancelled = true
        },
      })
      return { body, letGo: () => isCancelled }
    },
    'an async iterable': () => {
      let isReturned = false
      let asked = 0
      const iterator = {
        next: () => (asked++ === 0 ? Promise.resolve({ done: false, value: encode('hello') }) : new Promise(() => {})),
        return: () => {
          isReturned = true
          return new Promise(() => {})
        },
      }
      return { body: { [Symbol.asyncIterator]: () => iterator }, letGo: () => isReturned }
    },
    'an async generator that waits for ever': () => {
      let isReturned = false
      const generator = (async function* () {
        yield encode('hello')
        await new Promise(() => {})
      })()
      const inner = generator.return.bind(generator)
      generator.return = value => {
        isReturned = true
        return inner(value)
      }
      return { body: generator, letGo: () => isReturned }
    },
  }

  for (const [name, make] of Object.entries(hanging)) {
    test(`${name} is let go of when the loop is left early`, async () => {
      const { body, letGo } = make()
      for await (const chunk of readBody(body).chunks) {
        expect(Buffer.from(chunk).toString()).toBe('hello')
        break
      }
      await turn()
      expect(letGo()).toBe(true)
    })

    test(`${name} is let go of when the consumer throws`, async () => {
      const { body, letGo } = make()
      const reading = (async () => {
        for await (const _ of readBody(body).chunks) throw new Error('the disk is full')
      })()
      await expect(reading).rejects.toThrow('the disk is full')
      await turn()
      expect(letGo()).toBe(true)
    })

    test(`${name} that hangs is let go of by an abort, which rejects at once with its own reason`, async () => {
      const { body, letGo } = make()
      const controller = new AbortController()
      const reading = bytesOf(body, { signal: controller.signal })
      setImmediate(() => setImmediate(() => controller.abort('enough')))
      await expect(reading).rejects.toBe('enough')
      await turn()
      expect(letGo()).toBe(true)
    })

    test(`${name} that hangs is let go of by a consumer that returns while it waits`, async () => {
      const { body, letGo } = make()
      const chunks = readBody(body).chunks[Symbol.asyncIterator]()
      await chunks.next()
      const waiting = chunks.next()
      const left = expect(waiting).rejects.toThrow('let go of')
      await turn()
      await chunks.return?.()
      await left
      await turn()
      expect(letGo()).toBe(true)
    })
  }

  test('a body that nobody iterates is not touched', async () => {
    for (const make of Object.values(hanging)) {
      const { body, letGo } = make()
      readBody(body)
      await turn()
      expect(letGo()).toBe(false)
    }
    const stream = Readable.from([Buffer.from('hello')])
    readBody(stream)
    expect(await buffer(stream)).toEqual(Buffer.from('hello'))
  })

  test('a signal that aborted before is the answer, and the body is not touched', async () => {
    const { body, letGo } = hanging['a Node stream']?.() ?? { body: '', letGo: () => true }
    await expect(bytesOf(body, { signal: AbortSignal.abort('before') })).rejects.toBe('before')
    expect(letGo()).toBe(false)
  })

  test('an abort between two chunks is seen at the next', async () => {
    const controller = new AbortController()
    const seen: number[] = []
    const reading = (async () => {
      for await (const chunk of readBody(Buffer.alloc(3 * longestChunkBytes), { signal: controller.signal }).chunks) {
        seen.push(chunk.byteLength)
        controller.abort('enough')
      }
    })()
    await expect(reading).rejects.toBe('enough')
    expect(seen).toEqual([longestChunkBytes])
  })

  test('also between two pieces of one huge chunk', async () => {
    const controller = new AbortController()
    const chunks = readBody(yielding(Buffer.alloc(3 * longestChunkBytes)), { signal: controller.signal }).chunks
    const pieces = chunks[Symbol.asyncIterator]()
    await pieces.next()
    controller.abort('enough')
    await expect(pieces.next()).rejects.toBe('enough')
  })

  test('an error that the abort caused is the abort', async () => {
    const controller = new AbortController()
    const stream = new Readable({ read() {}, signal: controller.signal })
    stream.push('hello')
    const reading = bytesOf(stream, { signal: controller.signal })
    setImmediate(() => controller.abort('enough'))
    await expect(reading).rejects.toBe('enough')
  })

  test('a body whose return throws hides nothing', async () => {
    const body = {
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false, value: 'no bytes' }),
        return: () => {
          throw new RangeError('mine')
        },
      }),
    }
    expect(await failed(body)).toMatchObject({ field: 'body', rule: 'chunk' })
  })

  test('no listener stays on the signal', async () => {
    const { signal } = new AbortController()
    let listeners = 0
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...parameters: Parameters<typeof add>) => (listeners++, add(...parameters))
    signal.removeEventListener = (...parameters: Parameters<typeof remove>) => (listeners--, remove(...parameters))
    await bytesOf(yielding(...Array.from({ length: 50 }, () => encode('x'))), { signal })
    expect(listeners).toBe(0)
  })
})
