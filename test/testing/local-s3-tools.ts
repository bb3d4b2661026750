import { createHash, createHmac } from 'node:crypto'
import { request as send, type IncomingHttpHeaders } from 'node:http'
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'

/** The official client, as it comes but for what a local server needs, and without retries. */
export function clientOf(cloud: Pick<LocalCloud, 'endpoint' | 'credentials'>, options: S3ClientConfig = {}): S3Client {
  return new S3Client({
    endpoint: cloud.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: cloud.credentials.id, secretAccessKey: cloud.credentials.secret },
    ...options,
  })
}

export interface RawAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly text: string
  /** The Code of an error body. */
  readonly code: string | undefined
}

export interface RawRequest {
  readonly method: string
  /** Encoded as it goes over the wire. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
}

/** Exactly these bytes, with no header but those given and what Node must add. */
export function raw(cloud: Pick<LocalCloud, 'port'>, { method, path, headers, body }: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const request = send({ host: '127.0.0.1', port: cloud.port, method, path, headers, agent: false }, answer => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', reject)
      answer.on('end', () => {
        const whole = Buffer.concat(chunks)
        const text = whole.toString('utf8')
        const code = /<Code>([^<]*)<\/Code>/.exec(text)?.[1]
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: whole, text, code })
      })
    })
    request.on('error', reject)
    request.end(body)
  })
}

export interface SigningOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** The value of x-amz-content-sha256. Default: unsigned. */
  readonly payload?: string
  readonly at?: Date
  readonly id?: string
  readonly secret?: string
  readonly region?: string
  readonly service?: string
}

export interface SignedParts {
  readonly headers: Readonly<Record<string, string>>
  readonly signature: string
  readonly date: string
  readonly scope: string
  readonly key: Buffer
}

/** Signature Version 4 in a header, written from its specification and not from the server's code. `path` may have a query, sorted. */
export function sign(cloud: LocalCloud, method: string, path: string, options: SigningOptions = {}): SignedParts {
  const { id = cloud.credentials.id, secret = cloud.credentials.secret } = options
  const { region = 'us-east-1', service = 's3', payload = 'UNSIGNED-PAYLOAD', at = new Date() } = options
  const date = at.toISOString().replace(/[-:]|\.\d{3}/g, '')
  const day = date.slice(0, 8)
  const [uri = '', query = ''] = path.split('?')
  const headers: Record<string, string> = {
    ...options.headers,
    host: `127.0.0.1:${cloud.port}`,
    'x-amz-content-sha256': payload,
    'x-amz-date': date,
  }
  const names = Object.keys(headers).sort()
  const lines = names.map(name => `${name}:${headers[name]?.trim()}\n`).join('')
  const canonicalQuery = query
    .split('&')
    .filter(part => part !== '')
    .map(part => (part.includes('=') ? part : `${part}=`))
    .join('&')
  const canonical = `${method}\n${uri}\n${canonicalQuery}\n${lines}\n${names.join(';')}\n${payload}`
  const scope = `${day}/${region}/${service}/aws4_request`
  const key = [day, region, service, 'aws4_request'].reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`))
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`).toString('hex')
  headers['authorization'] =
    `AWS4-HMAC-SHA256 Credential=${id}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`
  return { headers, signature, date, scope, key }
}

/** A signed request, sent. */
export function signedRaw(
  cloud: LocalCloud,
  method: string,
  path: string,
  body?: Uint8Array | string,
  options: SigningOptions = {},
): Promise<RawAnswer> {
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  const { headers } = sign(cloud, method, path, options)
  return raw(cloud, { method, path, headers: { ...length, ...headers }, ...(body === undefined ? {} : { body }) })
}

/** An aws-chunked body without signatures: data in chunks of `size`, then the trailer. */
export function chunked(data: Uint8Array, trailer: Readonly<Record<string, string>> = {}, size = 65_536): Buffer {
  const parts: Uint8Array[] = []
  for (let at = 0; at < data.byteLength; at += size) {
    const piece = data.subarray(at, at + size)
    parts.push(Buffer.from(`${piece.byteLength.toString(16)}\r\n`), piece, Buffer.from('\r\n'))
  }
  const lines = Object.entries(trailer).map(([name, value]) => `${name}:${value}\r\n`)
  return Buffer.concat([...parts, Buffer.from(`0\r\n${lines.join('')}\r\n`)])
}

/** The same with a signature on each chunk and on the trailer. */
export function signedChunks(
  seed: SignedParts,
  data: Uint8Array,
  trailer: Readonly<Record<string, string>> | undefined,
  size = 65_536,
): Buffer {
  const parts: (Uint8Array | string)[] = []
  let previous = seed.signature
  const next = (kind: string, digests: string): string => {
    previous = hmac(
      seed.key,
      `AWS4-HMAC-SHA256-${kind}\n${seed.date}\n${seed.scope}\n${previous}\n${digests}`,
    ).toString('hex')
    return previous
  }
  for (let at = 0; at <= data.byteLength; at += size) {
    const piece = data.subarray(at, at + size)
    if (piece.byteLength === 0) break
    const signature = next('PAYLOAD', `${sha256('')}\n${sha256(piece)}`)
    parts.push(`${piece.byteLength.toString(16)};chunk-signature=${signature}\r\n`, piece, '\r\n')
  }
  parts.push(`0;chunk-signature=${next('PAYLOAD', `${sha256('')}\n${sha256('')}`)}\r\n`)
  for (const [name, value] of Object.entries(trailer ?? {})) parts.push(`${name}:${value}\r\n`)
  if (trailer !== undefined) {
    const text = Object.entries(trailer).map(([name, value]) => `${name}:${value}\n`)
    parts.push(`x-amz-trailer-signature:${next('TRAILER', sha256(text.join('')))}\r\n`)
  }
  parts.push('\r\n')
  return Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part) : part)))
}

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

/** The name and status of the error that a promise rejects with. */
export async function failure(
  promise: Promise<unknown>,
): Promise<{ name: string; status: number | undefined; error: Error }> {
  try {
    await promise
  } catch (thrown) {
    const error = thrown as Error & { $metadata?: { httpStatusCode?: number }; Code?: string }
    return { name: error.Code ?? error.name, status: error.$metadata?.httpStatusCode, error }
  }
  throw new Error('resolved, where a rejection was expected')
}

/** A stream of so many bytes in pieces of a socket's size, made as it is read. */
export async function* pieces(bytes: number, piece = 65_536): AsyncGenerator<Uint8Array> {
  const block = Buffer.alloc(piece, 'holdfast')
  for (let left = bytes; left > 0; left -= piece) yield block.subarray(0, Math.min(left, piece))
}
