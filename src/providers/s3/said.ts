/** What a service or a library said, fit to be shown: one line, at most 300 characters, without anything that signs a request. */
export function cleanText(text: string): string {
  const [line = ''] = text.split('\n')
  const hidden = hideSecrets(line)
  const short = hidden.length > 300 ? `${hidden.slice(0, 299)}…` : hidden
  return short.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, character => `\\u{${character.codePointAt(0)?.toString(16)}}`)
}

/** In signed queries and headers, and where S3 repeats them in the words of its errors. */
function hideSecrets(text: string): string {
  return text
    .replace(/((?:X-Amz-)?(?:Signature|Credential|Security-Token)=)[^,&\s"'<>]+/gi, '$1…')
    .replace(/(authorization["']?\s*[:=]\s*).*/gi, '$1…')
    .replace(/\/\/[^/@\s]+@/g, '//…@')
}

/**
 * The original as a cause, or what can be shown of it: an exception of the SDK repeats access keys, tokens and the string that was
 * signed in its fields, and holds the whole answer.
 */
export function cleanCause(error: unknown, answer?: Answered): Error {
  const { name, message, code, syscall, stack } = (error ?? {}) as NodeJS.ErrnoException
  const isPlain = error instanceof Error && answer === undefined && !('$metadata' in error)
  if (isPlain && hideSecrets(message) === message) return error
  const cause = new Error(cleanText(typeof message === 'string' ? message : String(error)))
  if (typeof name === 'string') cause.name = cleanText(name)
  const frames = typeof stack === 'string' ? stack.split('\n').filter(line => /^\s+at /.test(line)) : []
  cause.stack = [`${cause.name}: ${cause.message}`, ...frames].join('\n')
  return Object.assign(
    cause,
    typeof code === 'string' ? { code } : {},
    typeof syscall === 'string' ? { syscall } : {},
    answer === undefined ? {} : { status: answer.status, requestId: answer.headers['x-amz-request-id'] },
  )
}

interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
}

/** `Retry-After`, in seconds or as a date, which is read by the service's own clock. */
export function retryAfterMs(headers: Readonly<Record<string, string>>): number | undefined {
  const text = headers['retry-after']
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const [at, now] = [httpDate(text), serverTime(headers)]
  return at === undefined || now === undefined ? undefined : Math.max(0, at - now)
}

/** The service's clock when it answered, ms since 1970. */
export function serverTime(headers: Readonly<Record<string, string>>): number | undefined {
  return httpDate(headers['date'])
}

/** Date.parse takes nearly anything for a date. */
export function httpDate(text = ''): number | undefined {
  return /^[A-Z][a-z]{2}, .* GMT$/.test(text) ? Date.parse(text) || undefined : undefined
}
