import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import type { LocalCredentials } from '../cloud.ts'
import type { LocalRequest } from '../request.ts'
import { refuse } from './refusal.ts'

const algorithm = 'GOOG4-RSA-SHA256'
const weekSeconds = 604_800

/** https://cloud.google.com/storage/docs/authentication/signatures */
export interface SignatureCheck {
  /** Whether the request carries a V4 signature at all. */
  isSigned(query: URLSearchParams): boolean
  /** Refuses what is tampered with, expired, or signed by another key. */
  check(request: LocalRequest, query: URLSearchParams): void
}

export function signatureCheck({ id, secret }: LocalCredentials): SignatureCheck {
  let key: KeyObject | undefined
  return {
    isSigned: query => query.has('X-Goog-Algorithm') || query.has('X-Goog-Signature'),
    check(request, query) {
      const credential = query.get('X-Goog-Credential') ?? ''
      const stamp = query.get('X-Goog-Date') ?? ''
      const seconds = Number(query.get('X-Goog-Expires'))
      const headers = (query.get('X-Goog-SignedHeaders') ?? '').split(';')
      const [email, ...scope] = credential.split('/')
      const signedAt = timeOf(stamp)
      if (query.get('X-Goog-Algorithm') !== algorithm || signedAt === undefined || scope.length !== 4) {
        refuse({ status: 400, reason: 'invalid', message: 'Invalid argument.', xml: 'InvalidArgument' })
      }
      if (!Number.isSafeInteger(seconds) || seconds < 1 || seconds > weekSeconds) {
        refuse({
          status: 400,
          reason: 'invalid',
          message: 'Invalid X-Goog-Expires.',
          xml: 'AuthorizationQueryParametersError',
        })
      }
      const expires = signedAt + seconds * 1000
      if (request.receivedAt > expires) {
        const message = `The provided token has expired. Request signature expired at: ${new Date(expires).toISOString()}`
        refuse({ status: 400, reason: 'invalid', message, xml: 'ExpiredToken' })
      }
      const loose = Object.keys(request.headers).find(name => name.startsWith('x-goog-') && !headers.includes(name))
      if (loose !== undefined) {
        const message = `Your request has a malformed header. Header was included in the request but not signed: ${loose}`
        refuse({ status: 400, reason: 'invalid', message, xml: 'MalformedSecurityHeader' })
      }
      key ??= createPublicKey(secret)
      const publicKey = key
      const signature = Buffer.from(query.get('X-Goog-Signature') ?? '', 'hex')
      const good = hostsOf(request).some(host => {
        const canonical = canonicalRequest(request, headers, host)
        const hash = createHash('sha256').update(canonical).digest('hex')
        return verify(
          'RSA-SHA256',
          Buffer.from([algorithm, stamp, scope.join('/'), hash].join('\n')),
          publicKey,
          signature,
        )
      })
      if (good && email === id && scope[0] === stamp.slice(0, 8)) return
      refuse({ status: 403, reason: 'forbidden', message: 'Access denied.', xml: 'SignatureDoesNotMatch' })
    },
  }
}

/** The official client signs the name of the host without its port. */
function hostsOf({ headers }: LocalRequest): string[] {
  const host = headers.host ?? ''
  return [host, host.replace(/:\d+$/, '')]
}

function canonicalRequest(request: LocalRequest, signed: readonly string[], host: string): string {
  const { method, url, headers } = request
  const [path = '', search = ''] = url.split('?')
  const pairs = search
    .split('&')
    .map(pair => pair.split('=').map(part => escaped(decodeURIComponent(part))))
    .filter(([name]) => name !== 'X-Goog-Signature')
    .map(([name, value = '']) => `${name}=${value}`)
    .sort()
  const lines = signed.map(name => {
    const value = name === 'host' ? host : String(headers[name] ?? '')
    return `${name}:${value.trim().replace(/\s{2,}/g, ' ')}\n`
  })
  const payload = headers['x-goog-content-sha256'] ?? 'UNSIGNED-PAYLOAD'
  const canonicalPath = path
    .split('/')
    .map(segment => escaped(decodeURIComponent(segment)))
    .join('/')
  return [method, canonicalPath, pairs.join('&'), lines.join(''), signed.join(';'), String(payload)].join('\n')
}

function escaped(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/** `20261122T031500Z` */
function timeOf(stamp: string): number | undefined {
  const found = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(stamp)
  if (found === null) return undefined
  const [, year, month, day, hour, minute, second] = found.map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  return Date.UTC(year, month - 1, day, hour, minute, second)
}
