import type { S3Client } from '@aws-sdk/client-s3'
import { type Scope, sigV4, type Signer } from './sigv4.ts'

/**
 * Reads without the SDK's middleware, which costs several times the price of a small answer. Where requests go and what they are signed for is
 * not found out anew: it is read off a request that the SDK itself made and signed, so that endpoints, regions and path styles are the
 * SDK's. Credentials, their refresh, agents and time limits stay those of the client. Only for clients whose middleware is
 * known: those of our own making, and others as long as they are as the SDK makes them (`plain.ts`); only where the SDK signs with SigV4.
 */
export interface Direct {
  /** Looks at a signed request of the SDK about this key. */
  learn(request: SignedRequest, key: string): void
  /** `undefined`: nothing is known yet, or this is not for us; the SDK has to be asked. */
  request(method: 'GET' | 'HEAD', key: string, headers: Readonly<Record<string, string>>): Promise<Request> | undefined
  /** The next request goes through the SDK: it corrects what it knows of the service's clock. */
  forget(): void
}

/** As the SDK's request handler takes it. */
export interface Request {
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: Record<string, string>
}

export type SignedRequest = Partial<Omit<Request, 'headers'>> & { readonly headers: Readonly<Record<string, unknown>> }

interface Way {
  readonly place: Pick<Request, 'protocol' | 'hostname' | 'port'>
  /** What stands before the key. */
  readonly base: string
  readonly scope: Scope
  /** The same for all requests. */
  readonly headers: Readonly<Record<string, string>>
  readonly userAgent: string | undefined
}

const CREDENTIAL = /^AWS4-HMAC-SHA256 Credential=[^,/]+(?:\/[^,/]+)*?\/\d{8}\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request,/
/** Of a body that is not there. */
const emptyHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

export function directReads(client: S3Client): Direct {
  const sign = sigV4()
  let way: Way | undefined

  async function signed(
    known: Way,
    method: 'GET' | 'HEAD',
    key: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<Request> {
    const path = known.base + encodedKey(key)
    const by = (await client.config.credentials()) as Signer
    const at = new Date(Date.now() + (client.config.systemClockOffset ?? 0))
    const all = sign({ method, path, headers: { ...known.headers, ...lowerCase(headers) } }, by, known.scope, at)
    if (known.userAgent !== undefined) all['user-agent'] = known.userAgent
    return { ...known.place, method, path, query: {}, headers: all }
  }

  return {
    learn(request, key) {
      way ??= wayOf(request, key)
    },
    request: (method, key, headers) => (way === undefined ? undefined : signed(way, method, key, headers)),
    forget() {
      way = undefined
    },
  }
}

/** The same for a client that a user brought: only while it `isPlain`, and learnt anew when it was changed in between. */
export function directWhilePlain(client: S3Client, watch: (changed: () => void) => () => boolean): Direct {
  const reads = directReads(client)
  const isPlain = watch(() => reads.forget())
  return {
    learn(request, key) {
      if (isPlain()) reads.learn(request, key)
    },
    request: (method, key, headers) => (isPlain() ? reads.request(method, key, headers) : undefined),
    forget: () => reads.forget(),
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
  if (region === undefined || service !== 's3') return undefined
  return {
    place: { protocol, hostname, ...(port === undefined ? {} : { port }) },
    base: path.slice(0, path.length - encoded.length),
    scope: { region, service },
    headers: { host, 'x-amz-content-sha256': emptyHash },
    userAgent: typeof userAgent === 'string' ? userAgent : undefined,
  }
}

/** As in https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, slashes left alone. */
function encodedKey(key: string): string {
  return encodeURIComponent(key)
    .replaceAll('%2F', '/')
    .replace(/[!'()*]/g, character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}
