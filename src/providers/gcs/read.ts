import type { ByteRange, GetRequest, RemoteBody, RemoteObject } from '../../core/provider.ts'
import { cutRange } from '../../core/range.ts'
import { detailsOf, isService, notProvider, protocolError, type Purpose, transportError } from './errors.ts'
import { readPage, readResource } from './objects.ts'
import type { Target } from './target.ts'
import type { Answer } from './wire.ts'

/** How often a read begins again because the object was replaced between its description and its bytes. */
const attempts = 4

export async function headObject(target: Target, key: string, signal: AbortSignal): Promise<RemoteObject | undefined> {
  return await describe(target, { call: 'head', key, effect: 'none' }, key, undefined, signal)
}

/**
 * Two requests: a description, then the bytes of that generation. The media answer alone does not say the custom metadata in full.
 * Compressed objects are asked for as they are stored; all others without any encoding, so that nothing is coded on the way.
 */
export async function getObject(
  target: Target,
  { key, range, token }: GetRequest,
  signal: AbortSignal,
): Promise<RemoteBody | undefined> {
  const purpose: Purpose = { call: 'get', key, effect: 'none' }
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const object = await describe(target, purpose, key, token, signal)
    if (object === undefined) return undefined
    const cut = cutRange(range, object.size)
    if (cut === undefined) throw target.errors.range(key, object.size)
    if (cut.start === cut.end) return { object, ...cut, body: nothing(), close: async () => {} }
    const answer = await openMedia(target, purpose, object, range, cut, signal)
    if (answer === undefined) continue
    return {
      object,
      ...cut,
      body: counted(target, purpose, answer, cut.end - cut.start),
      close: async () => answer.close(),
    }
  }
  throw protocolError(target.errors, purpose, `found the object replaced ${attempts} times while reading it`)
}

async function describe(
  target: Target,
  purpose: Purpose,
  key: string,
  token: string | undefined,
  signal: AbortSignal,
): Promise<RemoteObject | undefined> {
  const { wire, errors, bucket } = target
  const condition = token === undefined ? {} : { ifGenerationMatch: token }
  const answer = await wire.send({ purpose, method: 'GET', target: target.object(key, condition) }, signal)
  if (answer.status === 404) {
    await proveAbsent(target, purpose, key, answer, signal)
    return undefined
  }
  if (answer.status !== 200) throw await wire.refused(answer, purpose)
  const read = readResource(await wire.text(answer, purpose), bucket, key, answer.serverTime)
  if ('wrong' in read) throw notProvider(errors, purpose, `was answered 200 ${read.wrong}`)
  return read
}

/**
 * Resolves when this 404 proves that the key has no object, in a bucket that is there. The service says which of both is missing; where
 * the words are unknown, a listing of the bucket decides. Rejects with reason BUCKET, or with whatever the proof failed of.
 */
export async function proveAbsent(
  target: Target,
  purpose: Purpose,
  key: string,
  answer: Answer,
  signal: AbortSignal,
): Promise<void> {
  const { wire, bucket, errors } = target
  const { status, header } = answer
  const text = await wire.text(answer, purpose)
  const { message } = detailsOf(text)
  if (message === undefined && !isService(header)) {
    throw notProvider(errors, purpose, 'was answered 404 by something that is not the service')
  }
  if ((message ?? text).startsWith(`No such object: ${bucket}/${key}`)) return
  if (/bucket does not exist/i.test(message ?? text)) throw target.refusal(purpose, { status, header, text })
  const question: Purpose = { ...purpose, effect: 'none' }
  const listing = await wire.send(
    { purpose: question, method: 'GET', target: target.list({ maxResults: '1' }) },
    signal,
  )
  if (listing.status !== 200) throw await wire.refused(listing, question)
  if (readPage(await wire.text(listing, question)) === undefined) {
    throw notProvider(errors, question, 'was answered 200 without a listing')
  }
}

/** `undefined`: that generation is gone by now. */
async function openMedia(
  target: Target,
  purpose: Purpose,
  object: RemoteObject,
  range: ByteRange | undefined,
  cut: { start: number; end: number },
  signal: AbortSignal,
): Promise<Answer | undefined> {
  const { wire, errors } = target
  const headers = {
    'accept-encoding': object.headers.contentEncoding === undefined ? 'identity' : 'gzip',
    'cache-control': 'no-store',
    ...(range === undefined ? {} : { range: `bytes=${cut.start}-${cut.end - 1}` }),
  }
  const media = target.object(object.key, { alt: 'media', generation: object.token })
  const answer = await wire.send({ purpose, method: 'GET', target: media, headers }, signal)
  if (answer.status === 404) {
    await wire.refused(answer, purpose)
    return undefined
  }
  const good = range === undefined ? 200 : 206
  const wrong = answer.status === good ? wrongMedia(answer, object, range === undefined ? undefined : cut) : undefined
  if (wrong !== undefined) {
    answer.close()
    throw notProvider(errors, purpose, wrong)
  }
  if (answer.status === good) return answer
  if (answer.status >= 300) throw await wire.refused(answer, purpose)
  answer.close()
  throw protocolError(errors, purpose, `was answered ${answer.status} where ${good} was due`)
}

function wrongMedia(
  { header }: Answer,
  object: RemoteObject,
  cut: { start: number; end: number } | undefined,
): string | undefined {
  if (header('x-goog-generation') !== object.token) return 'was answered 200 without the generation asked for'
  const length = header('content-length')
  const due = cut === undefined ? object.size : cut.end - cut.start
  if (length !== undefined && Number(length) !== due) return `was answered ${length} bytes where ${due} were due`
  if (cut !== undefined && header('content-range') !== `bytes ${cut.start}-${cut.end - 1}/${object.size}`) {
    return 'was answered another range than asked for'
  }
  const coded = header('content-encoding')
  return coded !== undefined && coded !== 'identity' && coded !== object.headers.contentEncoding
    ? 'was answered coded on the way'
    : undefined
}

/** The client library waits for ever where a body ends early; here its end is compared with what was due. */
async function* counted(target: Target, purpose: Purpose, answer: Answer, due: number): AsyncIterable<Uint8Array> {
  let size = 0
  for await (const chunk of answer.body) {
    size += chunk.byteLength
    if (size > due) throw protocolError(target.errors, purpose, `was given more than the ${due} bytes due`)
    yield chunk
  }
  if (size === due) return
  const short = Object.assign(new Error(`the body ended after ${size} of ${due} bytes`), { code: 'ECONNRESET' })
  throw transportError(target.errors, purpose, short)
}

async function* nothing(): AsyncIterable<Uint8Array> {}
