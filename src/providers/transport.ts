import { types } from 'node:util'

/** What a connection that failed says, whatever it was for. */
export interface Broken {
  readonly reason: 'TLS' | 'NETWORK' | 'TIMEOUT' | 'PROTOCOL'
  /** False: for sure nothing of the request reached the service. */
  readonly isSent: boolean
}

const tlsCodes =
  /^(ERR_TLS_|ERR_SSL_|CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|INVALID_PURPOSE|HOSTNAME_MISMATCH|EPROTO$)/

/**
 * Bytes that did not come as they were sent: nothing is wrong with who the service is, and what was asked of it before may have been done. Only a
 * connection that stands has records to be damaged. In OpenSSL's words, and by the functions of it that read a record once a version was agreed on:
 * of TLS 1.2 any byte says `cipher operation failed`.
 */
const damaged =
  /bad.record|decryption.failed|cipher.operation.failed|encrypted.length|unexpected.eof|(tls13|tls_default)_validate_record/i

/** Of errors of Node, TLS, undici and DNS; of what `fetch` throws, the cause is meant. `undefined`: it is none of those. */
export function brokenBy(thrown: unknown): Broken | undefined {
  const { code: found, message, path } = insideOf(thrown)
  // Of a file that something wanted to read: a key, a token.
  if (path !== undefined) return undefined
  const code = typeof found === 'string' ? found : ''
  if (tlsCodes.test(code)) {
    const isDamaged = damaged.test(`${code} ${message ?? ''}`)
    return isDamaged ? { reason: 'NETWORK', isSent: true } : { reason: 'TLS', isSent: false }
  }
  if (code.startsWith('HPE_')) return { reason: 'PROTOCOL', isSent: true }
  const isSent = !isConnecting(insideOf(thrown)) && !/before secure TLS connection/.test(message ?? '')
  if (/^(ETIMEDOUT|ESOCKETTIMEDOUT|ERR_SOCKET_CONNECTION_TIMEOUT)$/.test(code)) return { reason: 'TIMEOUT', isSent }
  const isNetwork = /^(E[A-Z]+|ERR_(HTTP2|STREAM)_\w+|UND_ERR_\w+)$/.test(code)
  if (!isSent || isNetwork || /^(socket hang up|aborted|fetch failed)$/i.test(message ?? '')) {
    return { reason: 'NETWORK', isSent }
  }
  return undefined
}

/** Several addresses may have been tried: then all of them have to have failed on the way. */
function isConnecting(error: Partial<NodeJS.ErrnoException>): boolean {
  const { errors } = error as { readonly errors?: unknown }
  if (Array.isArray(errors) && errors.length > 0) return errors.every(each => isConnecting(each ?? {}))
  const { syscall, code } = error
  if (syscall === 'connect' || syscall === 'getaddrinfo') return true
  return typeof code === 'string' && /^(ECONNREFUSED|ENOTFOUND|EAI_|ERR_SOCKET_CONNECTION_TIMEOUT$)/.test(code)
}

/** What `fetch` throws says nothing; its cause does. */
function insideOf(thrown: unknown): Partial<NodeJS.ErrnoException> {
  const isWrapped = isError(thrown) && thrown.name === 'TypeError' && isError(thrown.cause)
  return ((isWrapped ? thrown.cause : thrown) ?? {}) as Partial<NodeJS.ErrnoException>
}

/** Code and message of what was thrown, fit to be shown. */
export function wordsOf(thrown: unknown): string {
  if (!isError(thrown)) return 'for a reason that is no error'
  const { code, message } = insideOf(thrown)
  const words = cleanText(message ?? '')
  return typeof code === 'string' && !words.includes(code) ? cleanText(`${code} ${words}`) : words
}

/** What a service or a library said, fit to be shown: one line, at most 300 characters, without anything that opens doors. */
export function cleanText(text: string): string {
  const line = withoutSecrets(text)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .trim()
  return line.length > 300 ? `${line.slice(0, 299)}…` : line
}

/** As they stand in signed queries, headers, tokens and connection strings of the three clouds, and in the words of their errors. */
const named =
  /((?:X-(?:Amz|Goog)-)?(?:Signature|Credential|Security-Token)|upload_id|AccountKey|SharedAccessSignature|(?:access|refresh|id)_token|(?:client_)?assertion|client_secret|\b(?:sig|skoid|sktid))(?:["']?\s*[=:]\s*["']?)[^&\s"']+/gi
const unnamed =
  /\b(?:Bearer|SharedKey)\s+[^\s"']+|ya29\.[\w.-]+|\beyJ[\w-]+\.[\w-]+\.[\w-]+|-----BEGIN[^]*?(?:-----END[^-]*-----|$)/gi

function withoutSecrets(text: string): string {
  return text
    .replace(/(authorization["']?\s*[:=]\s*).*/gi, '$1[hidden]')
    .replace(named, '$1=[hidden]')
    .replace(unnamed, '[hidden]')
    .replace(/\/\/[^/@\s]+@/g, '//[hidden]@')
}

/** An answer that an error was made of: what may be shown of it. */
export interface Shown {
  readonly words: string
  readonly fields?: Readonly<Record<string, string | number | undefined>>
}

/**
 * The error itself where that may be shown, or a copy with its name, words, code, system call and stack. Errors of SDKs carry requests and
 * answers, and with them tokens, signatures and what was signed. With `shown` it is always a copy, of these words and with these fields.
 */
export function cleanCause(error: unknown, shown?: Shown): Error | undefined {
  if (!isError(error)) return typeof error === 'string' ? new Error(cleanText(error)) : undefined
  if (shown === undefined && isFit(error)) return error
  const { code, syscall, stack, name } = error as NodeJS.ErrnoException
  const copy = new Error(cleanText(shown?.words ?? error.message))
  copy.name = cleanText(name)
  const frames = typeof stack === 'string' ? stack.split('\n').filter(line => /^\s+at /.test(line)) : []
  copy.stack = [`${copy.name}: ${copy.message}`, ...frames.map(withoutSecrets)].join('\n')
  const said = Object.entries(shown?.fields ?? {}).flatMap(([field, value]) =>
    value === undefined ? [] : [[field, typeof value === 'string' ? cleanText(value) : value] as const],
  )
  return Object.assign(
    copy,
    typeof code === 'string' ? { code: cleanText(code) } : {},
    typeof syscall === 'string' ? { syscall } : {},
    Object.fromEntries(said),
  )
}

/** No object, no function and no text with a secret hangs on it or on what it carries, hidden properties included. */
function isFit(error: Error, depth = 0): boolean {
  const isPlain = (value: unknown): boolean =>
    typeof value === 'string'
      ? withoutSecrets(value) === value
      : value === null || (typeof value !== 'object' && typeof value !== 'function')
  const isCarried = (value: unknown): boolean =>
    isPlain(value) || (depth < 3 && isError(value) && isFit(value, depth + 1))
  return Reflect.ownKeys(error).every(name => {
    const value: unknown = Reflect.get(error, name)
    return name === 'errors' && Array.isArray(value) ? value.every(isCarried) : isCarried(value)
  })
}

/** Also one of another realm, as test runners make them. */
function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value)
}

/** `Retry-After` in ms: seconds, or a date, which is read by the service's own clock, its `Date`. */
export function retryAfterMs(value: string | undefined, date: string | undefined): number | undefined {
  const text = value?.trim()
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const [at, now] = [httpDate(text), httpDate(date)]
  return at === undefined || now === undefined ? undefined : Math.max(0, at - now)
}

/** The date in a header, ms since 1970. Date.parse takes nearly anything for a date. */
export function httpDate(text = ''): number | undefined {
  return /^[A-Z][a-z]{2}, .* GMT$/.test(text) ? Date.parse(text) || undefined : undefined
}
