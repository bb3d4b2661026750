/**
 * What opened the door in the last requests of a provider: signatures, tokens, signed queries. Whatever answers may repeat them, in words that
 * nobody foresaw; they are taken out of what is shown of an answer.
 */
export interface Carried {
  /** A request on its way, as it is sent. Looked at only when an error has to be made. */
  note(headers: Readonly<Record<string, unknown>>, url: string): void
  /** The text without them, each as it was sent, or encoded for a URL. */
  without(text: string): string
}

/** Requests that may be under way together, more or less: a signature is of one of them, tokens are of all. */
const kept = 64
/** What is shorter may be a word like any other. */
const leastLength = 12

interface Noted {
  readonly headers: Readonly<Record<string, unknown>>
  readonly url: string
  /** What is looked for on its account: made with the first error after it, for all errors after that. */
  forms?: readonly string[]
}

export function carriedSecrets(): Carried {
  const last: Noted[] = []
  /** What is looked for in a text, until the next request. */
  let forms: readonly string[] | undefined
  // The longest first: one may be a part of another.
  const formsNow = (): readonly string[] =>
    [...new Set(last.flatMap(noted => (noted.forms ??= formsIn(noted))))].sort((one, two) => two.length - one.length)
  return {
    note(headers, url) {
      last.push({ headers, url })
      if (last.length > kept) last.shift()
      forms = undefined
    },
    without(text) {
      forms ??= formsNow()
      return forms.reduce((shown, form) => (shown.includes(form) ? shown.replaceAll(form, '[hidden]') : shown), text)
    },
  }
}

function formsIn({ headers, url }: Noted): string[] {
  const secrets = new Set([...inHeaders(headers), ...inQuery(url)])
  return [...new Set([...secrets].filter(({ length }) => length >= leastLength).flatMap(formsOf))]
}

/** `AWS4-HMAC-SHA256 Credential=<id>/<scope>, SignedHeaders=…, Signature=<hex>`, `Bearer <token>`, `SharedKey <account>:<signature>`. */
function inHeaders(headers: Readonly<Record<string, unknown>>): string[] {
  const found: string[] = []
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string') continue
    if (/^x-amz-security-token$/i.test(name)) found.push(value)
    if (!/^authorization$/i.test(name)) continue
    const named = [...value.matchAll(/(?:Credential=([^/,\s]+)|Signature=([^,\s]+))/g)]
    const [, bearer, shared] = /^(?:Bearer\s+(\S+)|SharedKey(?:Lite)?\s+[^:\s]+:(\S+))/i.exec(value) ?? []
    for (const each of [...named.flatMap(([, id, signature]) => [id, signature]), bearer, shared]) {
      if (each !== undefined) found.push(each)
    }
  }
  return found
}

/** Of signed URLs, and the address of an upload that goes on. */
const inUrl = /^(sig|upload_id|x-(amz|goog)-(signature|credential|security-token))$/i

function inQuery(url: string): string[] {
  const at = url.indexOf('?')
  if (at < 0) return []
  return [...new URLSearchParams(url.slice(at + 1))].filter(([name]) => inUrl.test(name)).map(([, value]) => value)
}

function formsOf(secret: string): string[] {
  return [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]
}
