import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, test, vi } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { failures, isNoS3, shown } from './s3-failures.ts'
import {
  type Answer,
  amazonAt,
  byMethod,
  errorOf,
  isOfSdk,
  named,
  ofObject,
  putOf,
  refuse,
  reply,
  slowSource,
  startRecorder,
} from './s3-recorder.ts'

const { signal } = new AbortController()
const good = byMethod({ PUT: reply(200, ofObject), GET: reply(200, ofObject, 'hello'), DELETE: reply(204, named) })
const error = (code: string): string => `<Error><Code>${code}</Code><Message>No.</Message></Error>`

/** Answers as soon as the first bytes came. */
const early =
  (status: number, body: string): Answer =>
  request => {
    request.once('data', () => {
      const head = `HTTP/1.1 ${status} X\r\nx-amz-request-id: TX1\r\netag: "e"\r\nconnection: close\r\n`
      request.socket.write(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
    })
  }

/** After the request was read to its end, these bytes, and the end of the connection. */
const raw =
  (text: string): Answer =>
  async request => {
    for await (const _chunk of request);
    request.socket.end(text)
  }

async function endless(request: IncomingMessage, response: ServerResponse): Promise<void> {
  for await (const _chunk of request);
  response.writeHead(200, { ...named, etag: '"e"' })
  while (!response.destroyed) {
    if (!response.write(Buffer.alloc(1_000_000, 'x'))) await new Promise(resolve => setTimeout(resolve, 1))
  }
}

const ofWrites: Record<string, Answer> = {
  ...failures,
  'an object that is not there': refuse(404, 'NoSuchKey'),
  'another write under way': refuse(409, 'ConditionalRequestConflict'),
  'damaged bytes': refuse(400, 'BadDigest'),
  'a body that did not come': refuse(400, 'RequestTimeout'),
  'a body that is too short': refuse(400, 'IncompleteBody'),
  'a full disk': refuse(507, 'XMinioStorageFull'),
  'no such feature': refuse(501, 'NotImplemented'),
  'object lock': refuse(403, 'AccessDenied', {}, 'Access Denied because object protected by object lock.'),
  'a token that ended': refuse(400, 'ExpiredToken'),
  'an error in a good answer': reply(200, { ...named, etag: '"e"' }, error('InternalError')),
  'another ETag than the MD5': reply(200, { ...named, etag: `"${'0'.repeat(32)}"` }),
  'a good answer without an ETag': reply(200, named),
  'a good answer without the name of one': reply(200, { etag: '"e"' }),
  'an answer without end': endless,
  'a good answer that is cut off': raw(
    'HTTP/1.1 200 OK\r\nx-amz-request-id: TX1\r\netag: "e"\r\ncontent-length: 9\r\n\r\nabc',
  ),
  'an error that is cut off': raw(
    'HTTP/1.1 403 X\r\nx-amz-request-id: TX1\r\ncontent-length: 900\r\n\r\n<Error><Code>Acc',
  ),
  'half a head': raw('HTTP/1.1 200 OK\r\nx-amz-requ'),
  'what is not HTTP': raw('SSH-2.0-OpenSSH_9.2\r\n'),
  'a refusal before all came': early(403, error('AccessDenied')),
  'too many before all came': early(503, error('SlowDown')),
  'a good answer before all came': early(200, ''),
}

/** The end of it comes once there was time for an answer. */
const slow = slowSource(2 ** 20 + 65_536, at => (at === 2 ** 20 ? 150 : 0))

const writes: Record<string, (provider: Provider) => Promise<unknown>> = {
  put: provider => provider.put(putOf('a/ö', 'hello', { condition: { absent: true } }), signal),
  'streamed put': provider => provider.put({ ...putOf('a/ö', ''), source: slow }, signal),
  delete: provider => provider.delete('a/ö', 'e', signal),
}

/** What is made of it: an answer, or an error in all its parts. */
async function madeOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.catch((thrown: unknown) => shown(thrown))
}

/** Of a stream, what is the same for any body is not asked again. */
const cases = Object.entries(writes).flatMap(([call, write]) =>
  Object.entries(ofWrites).flatMap(([name, failure]) => {
    const isEarly = name.includes('before all came')
    const isMeant =
      call === 'put' || (call === 'delete' ? !isEarly : isEarly || /cut off|SlowDown|condition|ends/.test(name))
    return isMeant ? [{ call, write, name, failure }] : []
  }),
)

describe('what comes of a write is what the SDK would make of it', () => {
  test.each(cases)('$call: $name', async ({ call, write, name, failure }) => {
    await using server = await startRecorder(good)
    const known = await amazonAt(server.endpoint)
    await known.put(putOf('first', 'hello'), signal)
    const sdk = await amazonAt(server.endpoint, { transport: 'sdk' })
    await sdk.put(putOf('first', 'hello'), signal)
    server.requests.length = 0
    server.answer = failure
    const direct = await madeOf(write(known))
    const asked = server.requests.splice(0)
    const bySdk = await madeOf(write(sdk))
    expect(asked.map(isOfSdk)).toEqual([false])
    expect(server.requests.map(isOfSdk)).toEqual([true])
    const more = isNoS3.has(name) || name === 'an error that is cut off' ? { message: expect.any(String) } : {}
    expect(direct).toEqual({ ...(bySdk as object), ...more })
    if (name.includes('before all came') && call === 'streamed put')
      await vi.waitFor(() => expect(server.open()).toBe(0))
  })
})

test('whoever only writes is past the SDK after the first request, and so is who only deletes', async () => {
  await using server = await startRecorder(good)
  const [writer, deleter] = [await amazonAt(server.endpoint), await amazonAt(server.endpoint)]
  for (let i = 0; i < 3; i++) await writer.put(putOf('a', 'hello'), signal)
  for (let i = 0; i < 3; i++) await deleter.delete('a', undefined, signal)
  expect(server.requests.map(isOfSdk)).toEqual([true, false, false, true, false, false])
})

test('a thousand writes take the one connection that the first took', async () => {
  await using server = await startRecorder(good)
  const provider = await amazonAt(server.endpoint)
  for (let i = 0; i < 500; i++) {
    await provider.put(putOf('a', 'hello'), signal)
    await provider.delete('a', undefined, signal)
  }
  expect(server.requests.filter(isOfSdk)).toHaveLength(1)
  expect(server.open()).toBe(1)
})

test("transport 'sdk' sends all through the SDK", async () => {
  await using server = await startRecorder(byMethod(allGood))
  const provider = await amazonAt(server.endpoint, { transport: 'sdk' })
  for (let i = 0; i < 2; i++) {
    await provider.put(putOf('a', 'hello'), signal)
    await provider.head('a', signal)
    const read = await provider.get({ key: 'a', range: undefined, token: undefined }, signal)
    await read?.close()
    await provider.delete('a', undefined, signal)
  }
  expect(server.requests.map(isOfSdk)).toEqual(Array.from({ length: 8 }, () => true))
})

const allGood: Record<string, Answer> = {
  PUT: reply(200, ofObject),
  GET: reply(200, ofObject, 'hello'),
  HEAD: reply(200, { ...ofObject, 'content-length': '5' }),
  DELETE: reply(204, named),
}

test('within AWS Lambda, writes carry what the SDK puts on them', async () => {
  vi.stubEnv('AWS_LAMBDA_FUNCTION_NAME', 'thumbnails')
  vi.stubEnv('_X_AMZN_TRACE_ID', 'Root=1-5759e988-bd862e3fe1be46a994272793')
  try {
    await using server = await startRecorder(byMethod(allGood))
    const provider = await amazonAt(server.endpoint)
    for (let i = 0; i < 2; i++) {
      await provider.put(putOf('a', 'hello'), signal)
      await provider.delete('a', undefined, signal)
    }
    for (const { headers } of server.requests) expect(headers['x-amzn-trace-id']).toContain('Root=1-5759e988')
  } finally {
    vi.unstubAllEnvs()
  }
})

test('a service whose clock is another one is signed for by its time, also after the SDK has shown the way (S5)', async () => {
  const at = (date: string): Answer => byMethod({ PUT: reply(200, { ...ofObject, date }) })
  await using server = await startRecorder(at(new Date().toUTCString()))
  const provider = await amazonAt(server.endpoint)
  await provider.put(putOf('a', 'hello'), signal)
  const signedAt = (): string | undefined => server.requests.at(-1)?.headers['x-amz-date'] as string | undefined
  server.answer = at('Sun, 22 Nov 2020 03:00:00 GMT')
  await provider.put(putOf('a', 'hello'), signal)
  expect(signedAt()).not.toMatch(/^2020/)
  await provider.put(putOf('a', 'hello'), signal)
  expect(signedAt()).toMatch(/^20201122T0300/)
  expect(server.requests.map(isOfSdk)).toEqual([true, false, false])
  server.answer = refuse(403, 'RequestTimeTooSkewed', { date: 'Mon, 22 Nov 2027 03:00:00 GMT' })
  expect(await errorOf(provider.put(putOf('a', 'hello'), signal))).toMatchObject({ reason: 'CLOCK' })
  server.answer = at('Mon, 22 Nov 2027 03:00:00 GMT')
  await provider.put(putOf('a', 'hello'), signal)
  expect(signedAt()).toMatch(/^20271122T0300/)
})

test('an abort lets go of the connection wherever the answer is: before it, in a refusal, in a good one, in an object', async () => {
  await using server = await startRecorder(byMethod(allGood))
  const provider = await amazonAt(server.endpoint)
  const begun: Answer[] = [
    request => request.resume(),
    request =>
      void request.socket.write('HTTP/1.1 403 X\r\nx-amz-request-id: TX1\r\ncontent-length: 900\r\n\r\n<Error>'),
    request =>
      void request.socket.write('HTTP/1.1 200 X\r\nx-amz-request-id: TX1\r\netag: "e"\r\ncontent-length: 9\r\n\r\nabc'),
  ]
  for (const answer of begun) {
    for (const call of [
      (stop: AbortSignal) => provider.put(putOf('a', 'hello'), stop),
      (stop: AbortSignal) => provider.delete('a', undefined, stop),
    ]) {
      server.answer = byMethod(allGood)
      await provider.put(putOf('a', 'hello'), signal)
      server.answer = answer
      server.requests.length = 0
      const stop = new AbortController()
      const running = errorOf(call(stop.signal))
      await vi.waitFor(() => expect(server.requests).toHaveLength(1))
      await new Promise(resolve => setTimeout(resolve, 20))
      const reason = new Error('enough')
      stop.abort(reason)
      expect(await running).toBe(reason)
      expect(server.requests.map(isOfSdk)).toEqual([false])
      await vi.waitFor(() => expect(server.open()).toBe(0))
    }
  }
  server.answer = request =>
    void request.socket.write(
      `HTTP/1.1 200 X\r\n${Object.entries({ ...ofObject, 'content-length': '9' })
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('')}\r\nabc`,
    )
  const stop = new AbortController()
  const found = await provider.get({ key: 'a', range: undefined, token: undefined }, stop.signal)
  const read = errorOf(Array.fromAsync(found?.body ?? []))
  stop.abort(new Error('enough'))
  expect(await read).toMatchObject({ message: 'enough' })
  await vi.waitFor(() => expect(server.open()).toBe(0))
})
