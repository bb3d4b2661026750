import { hash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { featureHeaders } from './features.ts'
import { type Scope, sigV4, type Signer } from './sigv4.ts'

/**
 * Requests about one object without the SDK's middleware, which costs several times the price of a small one. Where requests go and what they are signed for is
 * not found out anew: it is read off a request that the SDK itself made and signed, so that endpoints, regions and path styles are the
 * SDK's. Credentials, their refresh, agents and time limits stay those of the client. Only for clients whose middleware is
 * known: those of our own making, and others as long as they are as the SDK makes them (`plain.ts`); only where the SDK signs with SigV4.
 */
export interface Direct {
  /** Looks at a signed request of the SDK about this key. */
  learn(request: SignedRequest, key: string): void
  /** `undefined`: nothing is known yet, or this is not for us; the SDK has to be asked. */
  request(asked: Asked): Promise<Request> | undefined
  /** The next request goes through the SDK: it corrects what it knows of the service's clock. */
  forget(): void
}

export interface Asked {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
  readonly key: string
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Body
}

/** Bytes are signed, as the SDK signs them; of a stream only the headers are, its digests among them. */
export type Body = Uint8Array | Readable

/** As the SDK's request handler takes it. */
export interface Request {
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: Record<string, string>
  readonly body?: Body
}

export type SignedRequest = Partial<Omit<Request, 'headers' | 'body'>> & {
  readonly headers: Readonly<Record<string, unknown>>
}

interface Way {
  readonly place: Pick<Request, 'protocol' | 'hostname' | 'port'>
  /** What stands before the key. */
  readonly base: string
  readonly scope: Scope
  readonly host: string
  readonly userAgent: string | undefined
}

const CREDENTIAL = /^AWS4-HMAC-SHA256 Credential=[^,/]+(?:\/[^,/]+)*?\/\d{8}\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request,/
/** Of a body that is not there. */
const emptyHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/** The SDK is asked, each time. */
export const neverDirect: Direct = { learn() {}, request: () => undefined, forget() {} }

export function directRequests(client: S3Client): Direct {
  const sign = sigV4()
  // There the SDK adds the trace of the invocation, by which Amazon stops functions that set themselves off by what they write.
  const isLambda = process.env['AWS_LAMBDA_FUNCTION_NAME'] !== undefined
  let way: Way | undefined

  async function signed({ place, base, scope, host, userAgent }: Way, asked: Asked): Promise<Request> {
    const { method, key, headers, body } = asked
    const path = base + encodedKey(key)
    const unsigned = { method, path, headers: { ...headers, host, 'x-amz-content-sha256': hashOf(body) } }
    const by = (await client.config.credentials()) as Signer
    const at = new Date(Date.now() + (client.config.systemClockOffset ?? 0))
    const all = sign(unsigned, by, scope, at)
    if (userAgent !== undefined) all['user-agent'] = userAgent
    return { ...place, method, path, query: {}, headers: all, ...(body !== undefined && { body }) }
  }

  return {
    learn(request, key) {
      way ??= wayOf(request, key)
    },
    request(asked) {
      const isWrite = asked.method === 'PUT' || asked.method === 'DELETE'
      return way === undefined || (isLambda && isWrite) ? undefined : signed(way, asked)
    },
    forget() {
      way = undefined
    },
  }
}

/** The same for a client that a user brought: only while it `isPlain`, and learnt anew when it was changed in between. */
export function directWhilePlain(client: S3Client, watch: (changed: () => void) => () => boolean): Direct {
  const requests = directRequests(client)
  const isPlain = watch(() => requests.forget())
  return {
    learn(request, key) {
      if (isPlain()) requests.learn(request, key)
    },
    request: asked => (isPlain() ? requests.request(asked) : undefined),
    forget: () => requests.forget(),
  }
}

/** `undefined` where the request is not what this file knows how to make. */
function wayOf({ protocol, hostname, port, path, headers }: SignedRequest, key: string): Way | undefined {
  const encoded = encodedKey(key)
  const { host, authorization, 'user-agent': userAgent } = headers
  const scope = typeof authorization === 'string' ? CREDENTIAL.exec(authorization) : null
  const [, region, service] = scope ?? []
  const isPlain = path?.endsWith(`/${encoded}`) === true && typeof host === 'string'
  if (!isPlain || protocol === undefined || hostname === undefined) return undefined
  if (region === undefined || service !== 's3' || !Object.keys(headers).every(isKnown)) return undefined
  return {
    place: { protocol, hostname, ...(port === undefined ? {} : { port }) },
    base: path.slice(0, path.length - encoded.length),
    scope: { region, service },
    host,
    userAgent: typeof userAgent === 'string' ? userAgent : undefined,
  }
}

const carried = new Set<string>([
  'host',
  'authorization',
  'user-agent',
  'x-amz-user-agent',
  'x-amz-date',
  'x-amz-content-sha256',
  'x-amz-security-token',
  'cache-control',
  'range',
  'if-match',
  'if-none-match',
  ...Object.values(featureHeaders),
])

/** What else the SDK should send one day may be needed, and is not known here. */
function isKnown(header: string): boolean {
  const name = header.toLowerCase()
  return carried.has(name) || /^(content|x-amz-meta|x-amz-checksum)-/.test(name)
}

/** As the SDK says it of bodies in memory, and of streams. */
function hashOf(body: Body | undefined): string {
  if (body === undefined) return emptyHash
  return body instanceof Uint8Array ? hash('sha256', body, 'hex') : 'UNSIGNED-PAYLOAD'
}

/** As in https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, slashes left alone. */
function encodedKey(key: string): string {
  if (/^[\w.~/-]*$/.test(key)) return key
  return encodeURIComponent(key)
    .replaceAll('%2F', '/')
    .replace(/[!'()*]/g, character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}
