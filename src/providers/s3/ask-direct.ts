import { unlessAborted } from '../../core/abort.ts'
import {
  type Answer,
  type Asking,
  isSpoken,
  mostErrorBytes,
  over,
  type Refusal,
  readBody,
  type Target,
} from './call.ts'
import { hasRequestId, judge, notProvider, type Seen } from './classify.ts'
import type { Request } from './direct.ts'

type Direct = Answer<{ readonly Body?: unknown }> | Refusal

interface RequestHandler {
  handle(
    request: Request,
    options: { readonly abortSignal: AbortSignal; readonly requestTimeout: number },
  ): Promise<{ readonly response: { statusCode: number; headers: Record<string, string>; body?: unknown } }>
}

/**
 * As `ask`, about one object, past the SDK's middleware: the same answer, the same judgement, one attempt. `undefined`: the SDK has to be asked.
 */
export async function askDirect(
  target: Target,
  method: 'GET' | 'HEAD',
  key: string,
  asking: Asking,
  signal: AbortSignal,
): Promise<Direct | undefined> {
  const { direct, client, errors, credentials } = target
  if (credentials.isDue) return undefined
  const making = direct.request(method, key, asking.headers ?? {})
  if (making === undefined) return undefined
  signal.throwIfAborted()
  const inner = new AbortController()
  const handler = client.config.requestHandler as unknown as RequestHandler
  let seen: Seen | undefined
  try {
    const request = await unlessAborted(making, signal)
    target.carried.note(request.headers, '')
    const sent = handler.handle(request, { abortSignal: inner.signal, requestTimeout: 0 })
    const { response } = await unlessAborted(sent, signal, () => inner.abort(signal.reason))
    const { statusCode: status, headers, body } = response
    const answer: Seen = { status, headers }
    seen = answer
    if (status >= 300) throw await refusalOf(status, body, signal)
    // It has none, and yet the connection serves no other request before its end was read.
    if (method === 'HEAD') await unlessAborted(readBody(body, mostErrorBytes), signal)
    if (!hasRequestId(headers) && !isSpoken(target.dialect(), asking, answer)) {
      inner.abort(over)
      const error = notProvider(errors, asking, `got ${status} without the headers of S3`)
      return { refused: { error, status, code: undefined, spoke: false } }
    }
    return { ...answer, output: { Body: body }, begins: '', letGo: () => inner.abort(over) }
  } catch (error) {
    signal.throwIfAborted()
    inner.abort(over)
    const refused = judge(errors, error, asking, seen)
    if (refused.error.reason === 'CLOCK') direct.forget()
    if (seen !== undefined && refused.error.reason === 'CREDENTIALS') credentials.refused()
    return { refused }
  }
}

/** What the SDK would throw: S3's code for a name, its words for a message. */
async function refusalOf(status: number, body: unknown, signal: AbortSignal): Promise<Error> {
  const read = await unlessAborted(readBody(body, mostErrorBytes), signal)
  const text = read.bytes.toString('utf8')
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
