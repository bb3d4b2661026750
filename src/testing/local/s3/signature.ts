import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import type { LocalCredentials } from '../cloud.ts'
import type { LocalRequest } from '../request.ts'
import { Refusal } from './refusal.ts'
import { parameter, type Route } from './route.ts'

/** What a good signature says, and what the chunks of a signed body are checked with. */
export interface Signed {
  readonly region: string
  /** As signed: a SHA-256 in hex, UNSIGNED-PAYLOAD, or STREAMING-…. */
  readonly payload: string
  readonly presigned: boolean
  readonly date: string
  readonly scope: string
  readonly key: Buffer
  readonly signature: string
}

/** What was sent of a signature, whether in a header or in the query. */
interface Claim {
  readonly credential: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
  readonly date: string
  readonly payload: string
  readonly presigned: boolean
}

const skewMs = 15 * 60_000
const longestExpirySeconds = 604_800
const algorithm = 'AWS4-HMAC-SHA256'

/** Checks AWS Signature Version 4 as S3 does; a `Refusal` says what is wrong with it. */
export function signatureChecker(credentials: LocalCredentials): (request: LocalRequest, route: Route) => Signed {
  const keys = new Map<string, Buffer>()

  /** Derived keys are good for a day and a region: a handful of them. */
  function signingKey(day: string, region: string): Buffer {
    const name = `${day}/${region}`
    let key = keys.get(name)
    if (key === undefined) {
      const parts = [day, region, 's3', 'aws4_request']
      key = parts.reduce<Buffer>((secret, part) => hmac(secret, part), Buffer.from(`AWS4${credentials.secret}`))
      if (keys.size > 1_000) keys.clear()
      keys.set(name, key)
    }
    return key
  }

  return (request, route) => {
    const claim = claimOf(request, route)
    const [id, day, region, service, end, ...more] = claim.credential.split('/')
    const malformed = claim.presigned ? 'AuthorizationQueryParametersError' : 'AuthorizationHeaderMalformed'
    if (service !== 's3' || end !== 'aws4_request' || more.length > 0 || !region)
      throw new Refusal(malformed, {}, 'The authorization is malformed; the Credential is mal-formed.')
    if (id !== credentials.id) throw new Refusal('InvalidAccessKeyId', { AWSAccessKeyId: id ?? '' })
    if (request.headers['x-amz-security-token'] !== undefined || parameter(route.query, 'X-Amz-Security-Token'))
      throw new Refusal('InvalidToken')
    const at = timeOf(claim.date)
    if (at === undefined || !claim.date.startsWith(`${day}T`))
      throw new Refusal(malformed, {}, 'Invalid credential date: it is not the same as X-Amz-Date.')
    if (claim.presigned) checkLife(route, at, request.receivedAt)
    else if (Math.abs(at - request.receivedAt) > skewMs)
      throw new Refusal('RequestTimeTooSkewed', {
        RequestTime: claim.date,
        ServerTime: new Date(request.receivedAt).toISOString(),
        MaxAllowedSkewMilliseconds: skewMs,
      })
    checkSignedHeaders(request, claim)

    const scope = `${day}/${region}/s3/aws4_request`
    const key = signingKey(day ?? '', region)
    const canonical = canonicalRequest(request, route, claim)
    const toSign = (encoding: 'utf8' | 'latin1'): string =>
      `${algorithm}\n${claim.date}\n${scope}\n${hash('sha256', Buffer.from(canonical, encoding))}`
    const good =
      same(claim.signature, hmacHex(key, toSign('utf8'))) ||
      // Header bytes above 127 arrive as Latin-1; a client that sent UTF-8 signed those bytes.
      (/[\u0080-\u00ff]/.test(canonical) && same(claim.signature, hmacHex(key, toSign('latin1'))))
    if (!good)
      throw new Refusal('SignatureDoesNotMatch', {
        AWSAccessKeyId: id,
        StringToSign: toSign('utf8'),
        SignatureProvided: claim.signature,
        CanonicalRequest: canonical,
      })
    const { date, payload, presigned, signature } = claim
    return { region, payload, presigned, date, scope, key, signature }
  }
}

/** The signature that a piece of a signed body must have, given the one before it. */
export function chunkSignature(signed: Signed, previous: string, kind: 'PAYLOAD' | 'TRAILER', digests: string): string {
  return hmacHex(signed.key, `${algorithm}-${kind}\n${signed.date}\n${signed.scope}\n${previous}\n${digests}`)
}

function claimOf(request: LocalRequest, route: Route): Claim {
  const { authorization } = request.headers
  const inQuery = route.query.some(([name]) => name.startsWith('X-Amz-'))
  if (authorization !== undefined) {
    if (inQuery && parameter(route.query, 'X-Amz-Algorithm') !== undefined)
      throw new Refusal('InvalidArgument', {}, 'Only one auth mechanism allowed')
    return headerClaim(request, authorization)
  }
  if (inQuery) return queryClaim(request, route)
  if (parameter(route.query, 'Signature') !== undefined) throw oldSignature()
  throw new Refusal('AccessDenied')
}

function oldSignature(): Refusal {
  const message = 'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.'
  return new Refusal('InvalidRequest', {}, message)
}

const authorizationForm = /^AWS4-HMAC-SHA256\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([^,\s]+)$/

function headerClaim({ headers }: LocalRequest, authorization: string): Claim {
  if (!authorization.startsWith(algorithm)) throw oldSignature()
  const [, credential, signedHeaders, signature] = authorizationForm.exec(authorization) ?? []
  if (credential === undefined || signedHeaders === undefined || signature === undefined)
    throw new Refusal('AuthorizationHeaderMalformed')
  const amzDate = headers['x-amz-date']
  const date = typeof amzDate === 'string' ? amzDate : compactDate(headers.date)
  if (date === undefined || timeOf(date) === undefined)
    throw new Refusal('AccessDenied', {}, 'AWS authentication requires a valid Date or x-amz-date header')
  const payload = headers['x-amz-content-sha256']
  if (typeof payload !== 'string')
    throw new Refusal('InvalidRequest', {}, 'Missing required header for this request: x-amz-content-sha256')
  return { credential, signedHeaders: signedHeaders.split(';'), signature, date, payload, presigned: false }
}

function queryClaim({ headers }: LocalRequest, { query }: Route): Claim {
  const [named, credential, date, signedHeaders, signature, expires] = [
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Date',
    'X-Amz-SignedHeaders',
    'X-Amz-Signature',
    'X-Amz-Expires',
  ].map(name => parameter(query, name))
  if (
    named === undefined ||
    credential === undefined ||
    date === undefined ||
    signedHeaders === undefined ||
    signature === undefined ||
    expires === undefined
  ) {
    const message =
      'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.'
    throw new Refusal('AuthorizationQueryParametersError', {}, message)
  }
  if (named !== algorithm)
    throw new Refusal('AuthorizationQueryParametersError', {}, `X-Amz-Algorithm only supports "${algorithm}"`)
  const header = headers['x-amz-content-sha256']
  const payload =
    parameter(query, 'X-Amz-Content-Sha256') ?? (typeof header === 'string' ? header : undefined) ?? 'UNSIGNED-PAYLOAD'
  return { credential, signedHeaders: signedHeaders.split(';'), signature, date, payload, presigned: true }
}

function checkLife({ query }: Route, at: number, now: number): void {
  const seconds = Number(parameter(query, 'X-Amz-Expires'))
  const refuse = (message: string): Refusal => new Refusal('AuthorizationQueryParametersError', {}, message)
  if (!Number.isInteger(seconds)) throw refuse('X-Amz-Expires should be a number')
  if (seconds < 0) throw refuse('X-Amz-Expires must be non-negative')
  if (seconds > longestExpirySeconds)
    throw refuse(
      'X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds',
    )
  if (at - now > skewMs) throw new Refusal('AccessDenied', {}, 'Request is not yet valid')
  if (now > at + seconds * 1_000)
    throw new Refusal(
      'AccessDenied',
      {
        'X-Amz-Expires': seconds,
        Expires: new Date(at + seconds * 1_000).toISOString(),
        ServerTime: new Date(now).toISOString(),
      },
      'Request has expired',
    )
}

/** Whatever S3 would act on must be under the signature. */
function checkSignedHeaders({ headers }: LocalRequest, { signedHeaders }: Claim): void {
  const unsigned = Object.keys(headers).filter(
    name => name.startsWith('x-amz-') && name !== 'x-amz-content-sha256' && !signedHeaders.includes(name),
  )
  if (!signedHeaders.includes('host')) unsigned.push('host')
  if (unsigned.length > 0) {
    const message = 'There were headers present in the request which were not signed'
    throw new Refusal('AccessDenied', { HeadersNotSigned: unsigned.join(', ') }, message)
  }
}

function canonicalRequest({ method, headers }: LocalRequest, route: Route, claim: Claim): string {
  const { path } = route
  // Most paths come as they are signed.
  const uri = /^[A-Za-z0-9\-._~/]*$/.test(path) ? path : decodeURIComponent(path).split('/').map(encoded).join('/')
  const query = route.query
    .filter(([name]) => !claim.presigned || name !== 'X-Amz-Signature')
    .map(([name, value]) => [encoded(name), encoded(value)] as const)
    .sort(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
  let lines = ''
  for (const name of claim.signedHeaders) {
    const value = headers[name]
    const text = Array.isArray(value) ? value.join(',') : (value ?? '')
    lines += `${name}:${text.includes('  ') ? text.trim().replace(/ {2,}/g, ' ') : text.trim()}\n`
  }
  return `${method}\n${uri}\n${query}\n${lines}\n${claim.signedHeaders.join(';')}\n${claim.payload}`
}

/** RFC 3986, as Signature Version 4 wants it. */
function encoded(text: string): string {
  if (/^[A-Za-z0-9\-._~]*$/.test(text)) return text
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/** `20261122T025100Z` as milliseconds since 1970. */
function timeOf(date: string): number | undefined {
  const parts = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(date)
  if (parts === null) return undefined
  const [, year, month, day, hour, minute, second] = parts.map(Number)
  const time = Date.UTC(year as number, (month as number) - 1, day, hour, minute, second)
  return Number.isNaN(time) ? undefined : time
}

function compactDate(header: string | undefined): string | undefined {
  const time = header === undefined ? Number.NaN : Date.parse(header)
  return Number.isNaN(time) ? undefined : new Date(time).toISOString().replace(/[-:]|\.\d{3}/g, '')
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'utf8').digest()
}

function hmacHex(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text, 'utf8').digest('hex')
}

function same(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}
