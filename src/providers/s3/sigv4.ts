import { createHash, createHmac } from 'node:crypto'

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
  readonly method: 'GET' | 'HEAD'
  /** As it is sent: encoded once. Without a query. */
  readonly path: string
  /** Lower-case names, `host` and `x-amz-content-sha256` among them; all are signed. */
  readonly headers: Readonly<Record<string, string>>
}

const algorithm = 'AWS4-HMAC-SHA256'

/**
 * Signs requests without a body as https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html says. Keys of a day and a scope
 * are made once.
 */
export function sigV4(): (request: Unsigned, by: Signer, scope: Scope, at: Date) => Record<string, string> {
  let made: { readonly of: string; readonly secret: string; readonly key: Buffer } | undefined

  function keyOf(secret: string, day: string, { region, service }: Scope): Buffer {
    const of = `${day}/${region}/${service}`
    if (made?.of !== of || made.secret !== secret) {
      const key = [day, region, service, 'aws4_request'].reduce(hmac, Buffer.from(`AWS4${secret}`))
      made = { of, secret, key }
    }
    return made.key
  }

  return ({ method, path, headers }, by, scope, at) => {
    const time = at.toISOString().replace(/[-:]|\.\d+/g, '')
    const day = time.slice(0, 8)
    const token = by.sessionToken === undefined ? {} : { 'x-amz-security-token': by.sessionToken }
    const sent: Record<string, string> = { ...headers, ...token, 'x-amz-date': time }
    const names = Object.keys(sent).sort()
    const lines = names.map(name => `${name}:${sent[name]?.trim().replace(/ +/g, ' ')}\n`).join('')
    const signed = names.join(';')
    const canonical = [method, path, '', lines, signed, sent['x-amz-content-sha256']].join('\n')
    const credential = `${day}/${scope.region}/${scope.service}/aws4_request`
    const digest = createHash('sha256').update(canonical, 'utf8').digest('hex')
    const text = [algorithm, time, credential, digest].join('\n')
    const signature = hmac(keyOf(by.secretAccessKey, day, scope), text).toString('hex')
    sent['authorization'] =
      `${algorithm} Credential=${by.accessKeyId}/${credential}, SignedHeaders=${signed}, Signature=${signature}`
    return sent
  }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'utf8').digest()
}
