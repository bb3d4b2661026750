import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto'

/** Whose request it is. */
export interface Signer {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/** What a signature is good for. */
export interface Scope {
  readonly region: string
  readonly service: string
}

export interface Unsigned {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
  /** As it is sent: encoded once. Without a query. */
  readonly path: string
  /** Lower-case names, `host` and `x-amz-content-sha256` among them; all are signed, but `cache-control`. */
  readonly headers: Readonly<Record<string, string>>
}

const algorithm = 'AWS4-HMAC-SHA256'
/** Of the headers that a driver sends, the one that proxies may change on the way: the SDK does not sign it either. */
const unsigned = 'cache-control'

/**
 * Signs requests as https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html says. Keys of a day and a scope
 * are made once.
 */
export function sigV4(): (request: Unsigned, by: Signer, scope: Scope, at: Date) => Record<string, string> {
  let made: { readonly of: string; readonly secret: string; readonly key: KeyObject } | undefined

  function keyOf(secret: string, day: string, { region, service }: Scope): KeyObject {
    const of = `${day}/${region}/${service}`
    if (made?.of !== of || made.secret !== secret) {
      const first = createSecretKey(`AWS4${secret}`, 'utf8')
      const key = [day, region, service, 'aws4_request'].reduce(
        (from, text) => createSecretKey(createHmac('sha256', from).update(text, 'utf8').digest()),
        first,
      )
      made = { of, secret, key }
    }
    return made.key
  }

  return ({ method, path, headers }, by, scope, at) => {
    const time = at.toISOString().replace(/[-:]|\.\d+/g, '')
    const day = time.slice(0, 8)
    const sent: Record<string, string> = { ...headers, 'x-amz-date': time }
    // As the SDK: an empty one is none.
    const token = by.sessionToken ?? ''
    if (token !== '') sent['x-amz-security-token'] = token
    const names = Object.keys(sent)
      .filter(name => name !== unsigned)
      .sort()
    let lines = ''
    for (const name of names) lines += `${name}:${canonical(sent[name] ?? '')}\n`
    const signed = names.join(';')
    const request = `${method}\n${path}\n\n${lines}\n${signed}\n${sent['x-amz-content-sha256']}`
    const credential = `${day}/${scope.region}/${scope.service}/aws4_request`
    const text = `${algorithm}\n${time}\n${credential}\n${hash('sha256', request, 'hex')}`
    // A key that is a Buffer would be taken for a key object first, and that fails slowly: ten times the price of the digest.
    const signature = createHmac('sha256', keyOf(by.secretAccessKey, day, scope))
      .update(text, 'utf8')
      .digest('hex')
    sent['authorization'] =
      `${algorithm} Credential=${by.accessKeyId}/${credential}, SignedHeaders=${signed}, Signature=${signature}`
    return sent
  }
}

/** A value as it is signed: blanks at its edges and double ones within are nobody's. */
function canonical(value: string): string {
  return /\s/.test(value) ? value.replace(/[\t\r\n ]+/g, ' ').replace(/^ | $/g, '') : value
}
