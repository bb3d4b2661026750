import { unlessAborted } from '../../core/abort.ts'
import {
  type Answer,
  type Asking,
  isSpoken,
  mostAnswerBytes,
  mostErrorBytes,
  over,
  type Refusal,
  type Target,
} from './call.ts'
import { hasRequestId, judge, notProvider, protocolError, type Seen, type Verdict } from './classify.ts'
import { correctClock } from './clock.ts'
import type { Asked, Request } from './direct.ts'
import { readBody } from './read-body.ts'

type Direct = Answer<{ readonly Body?: unknown }> | Refusal

interface RequestHandler {
  handle(
    request: Request,
    options: { readonly abortSignal: AbortSignal; readonly requestTimeout: number },
  ): Promise<{ readonly response: { statusCode: number; headers: Record<string, string>; body?: unknown } }>
}

/**
 * As `ask`, about one object, past the SDK's middleware: the same answer, the same judgement, one attempt. `asked.headers` are all that the request is to
 * carry besides its signature; those of `asking` are not looked at. `undefined`: the SDK has to be asked.
 */
export async function askDirect(
  target: Target,
  asked: Asked,
  asking: Asking,
  signal: AbortSignal,
): Promise<Direct | undefined> {
  const { direct, client, errors, credentials } = target
  if (credentials.isDue) return undefined
  // Before anything is begun of which nobody would hear how it ends.
  signal.throwIfAborted()
  const making = direct.request(asked)
  if (making === undefined) return undefined
  const inner = new AbortController()
  const letGo = (): void => inner.abort(over)
  let seen: Seen | undefined
  let isTooLong = false
  try {
    return await unlessAborted(exchange(), signal, letGo)
  } catch (error) {
    signal.throwIfAborted()
    letGo()
    if (isTooLong) return refusal(protocolError(errors, asking, 'got an answer without end'))
    const refused = judge(errors, error, asking, seen)
    if (refused.error.reason === 'CLOCK') direct.forget()
    if (seen !== undefined && refused.error.reason === 'CREDENTIALS') credentials.refused()
    return { refused }
  }

  async function exchange(): Promise<Direct> {
    const request = await making
    if (request === undefined) throw over
    target.carried.note(request.headers, '')
    const handler = client.config.requestHandler as unknown as RequestHandler
    const { response } = await handler.handle(request, { abortSignal: inner.signal, requestTimeout: 0 })
    const { statusCode: status, headers, body } = response
    const answer: Seen = { status, headers }
    seen = answer
    await correctClock(client, headers)
    if (status >= 300) {
      const { bytes, isWhole } = await readBody(body, mostErrorBytes)
      const absent = status === 404 && isWhole ? absence(answer, bytes) : undefined
      if (absent !== undefined) return { refused: absent }
      throw refusalOf(status, bytes)
    }
    const begins = asking.streams === true ? '' : await beginning(status, body)
    if (!hasRequestId(headers) && !isSpoken(target.dialect(), asking, answer, begins)) {
      return refusal(notProvider(errors, asking, `got ${status} without the headers of S3`))
    }
    if (asking.isSent?.() === false) {
      return refusal(protocolError(errors, asking, `got ${status} before all of the body was sent`))
    }
    return { ...answer, output: { Body: body }, begins, letGo }
  }

  /** That there is no object is no error to most who ask, and errors are dear: this one is made when somebody wants it. */
  function absence(answer: Seen, bytes: Buffer): Verdict | undefined {
    const code = bytes.byteLength === 0 ? undefined : tag(bytes.toString('utf8'), 'Code')
    if (code !== undefined && code !== 'NoSuchKey') return undefined
    let judged: Verdict | undefined
    return {
      status: answer.status,
      code,
      spoke: code !== undefined || hasRequestId(answer.headers),
      get error() {
        judged ??= judge(errors, refusalOf(answer.status, bytes), asking, answer)
        return judged.error
      },
    }
  }

  /** Reads an answer to its end, before which the connection serves no other request. */
  async function beginning(status: number, body: unknown): Promise<string> {
    const read = await readBody(body, mostAnswerBytes)
    if (read.error !== undefined) throw read.error
    isTooLong = !read.isWhole
    if (isTooLong) throw new Error('the answer is too long')
    // S3 answers some calls before it has done them, so that an error comes with a 200.
    if (read.bytes.subarray(-16).toString('latin1').endsWith('</Error>')) throw refusalOf(status, read.bytes)
    return read.bytes.toString('latin1', 0, 4096)
  }

  /** What is left of the request, or of the answer, is of no use. Does nothing where both are at their end. */
  function refusal(error: Refusal['refused']['error']): Refusal {
    letGo()
    return { refused: { error, status: seen?.status, code: undefined, spoke: false } }
  }
}

/** What the SDK would throw: S3's code for a name, its words for a message. */
function refusalOf(status: number, bytes: Buffer): Error {
  const text = bytes.toString('utf8')
  const code = tag(text, 'Code')
  const region = tag(text, 'Region')
  return Object.assign(new Error(tag(text, 'Message') ?? 'UnknownError'), {
    name: code ?? 'UnknownError',
    ...(code === undefined ? {} : { Code: code }),
    ...(region === undefined ? {} : { Region: region }),
    $metadata: { httpStatusCode: status },
  })
}

/** Of S3's flat error documents. */
function tag(xml: string, name: string): string | undefined {
  const found = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1]
  return found?.replace(/&(lt|gt|quot|apos|amp);/g, (_all, entity: string) => entities[entity] ?? '')
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }
