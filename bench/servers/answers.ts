import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Remembered, receive, rememberedOf } from './objects.ts'

/**
 * A process of its own that speaks S3 as fast as node:http can: `answers.ts none|all`. It checks no signature. It remembers the headers of what is put, so that HEAD
 * answers them and conditions hold; of the bodies it keeps those below `.holdfast/`, or all of them. One part of an upload, versions and configurations it does not have (501).
 */

const isAllKept = process.argv[2] === 'all'
const objects = new Map<string, Remembered>()
let isSilent = false

const request = ['x-amz-request-id', '4442587FB7D0A2F9'] as const
const server = createServer((asked, answer) => {
  // Nobody will hear of it: the connection stays, and nothing comes.
  if (isSilent) return
  const url = asked.url as string
  const end = url.indexOf('?')
  const path = end < 0 ? url : url.slice(0, end)
  const query = end < 0 ? '' : url.slice(end + 1)
  const slash = path.indexOf('/', 1)
  const key = slash < 0 ? '' : decoded(path.slice(slash + 1))
  const bucket = path.slice(1, slash < 0 ? undefined : slash)
  if (key === '') ofBucket(asked, answer, bucket, query)
  else if (asked.method === 'POST' || /(^|&)(uploads|uploadId|tagging|acl)(=|&|$)/.test(query)) unknown(asked, answer)
  else ofObject(asked, answer, key)
})

function ofObject(asked: IncomingMessage, answer: ServerResponse, key: string): void {
  switch (asked.method ?? '') {
    case 'PUT':
      receive(asked, isAllKept || key.startsWith('.holdfast/'), received => {
        if (isRefused(asked, answer, key)) return
        const announced = asked.headers['content-md5']
        if (announced !== undefined && announced !== received.md5.toString('base64'))
          return refuse(answer, 400, 'BadDigest')
        const object = rememberedOf(asked, received, new Date().toUTCString())
        objects.set(key, object)
        answer.writeHead(200, [...request, 'etag', object.etag, ...object.checksums, 'content-length', '0'])
        answer.end()
      })
      return
    case 'HEAD':
    case 'GET':
      asked.resume()
      read(asked, answer, key)
      return
    case 'DELETE':
      asked.resume()
      if (isRefused(asked, answer, key)) return
      objects.delete(key)
      answer.writeHead(204, [...request])
      answer.end()
      return
    default:
      unknown(asked, answer)
  }
}

function read(asked: IncomingMessage, answer: ServerResponse, key: string): void {
  const object = objects.get(key)
  if (object === undefined) return refuse(answer, 404, 'NoSuchKey')
  if (isRefused(asked, answer, key)) return
  const { size, etag, modified, described, checksums, body } = object
  const isHead = asked.method === 'HEAD'
  if (!isHead && body === undefined) return refuse(answer, 501, 'NotImplemented')
  answer.writeHead(200, [
    ...request,
    'etag',
    etag,
    'last-modified',
    modified,
    'content-length',
    String(size),
    ...described,
    ...(asked.headers['x-amz-checksum-mode'] === undefined ? [] : checksums),
  ])
  if (isHead || body === undefined) answer.end()
  else send(answer, body, 0)
}

/** No faster than it is read. */
function send(answer: ServerResponse, body: readonly Buffer[], from: number): void {
  for (let i = from; i < body.length; i++) {
    if (i === body.length - 1) answer.end(body[i])
    else if (!answer.write(body[i])) {
      answer.once('drain', () => send(answer, body, i + 1))
      return
    }
  }
  if (body.length === 0) answer.end()
}

/** Answers where a condition does not hold. */
function isRefused({ headers }: IncomingMessage, answer: ServerResponse, key: string): boolean {
  const match = headers['if-match']
  const none = headers['if-none-match']
  if (match === undefined && none === undefined) return false
  const there = objects.get(key)
  if (match !== undefined && there === undefined) {
    refuse(answer, 404, 'NoSuchKey')
    return true
  }
  const isHeld =
    match === undefined ? there === undefined : there?.etag.replaceAll('"', '') === match.replaceAll('"', '')
  if (!isHeld) refuse(answer, 412, 'PreconditionFailed')
  return !isHeld
}

function ofBucket(asked: IncomingMessage, answer: ServerResponse, bucket: string, query: string): void {
  asked.resume()
  if (asked.method === 'HEAD') {
    answer.writeHead(200, [...request, 'x-amz-bucket-region', 'us-east-1'])
    answer.end()
    return
  }
  const wanted = new URLSearchParams(query)
  if (asked.method !== 'GET' || wanted.get('list-type') !== '2' || wanted.has('delimiter'))
    return unknown(asked, answer)
  list(answer, bucket, wanted)
}

/** One page of ListObjectsV2, without a delimiter. */
function list(answer: ServerResponse, bucket: string, wanted: URLSearchParams): void {
  const prefix = wanted.get('prefix') ?? ''
  const after = wanted.get('continuation-token') ?? wanted.get('start-after') ?? ''
  const most = Math.min(1_000, Number(wanted.get('max-keys') ?? 1_000))
  const found = [...objects.keys()]
    .filter(key => key.startsWith(prefix))
    .map(key => ({ key, bytes: Buffer.from(key) }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
  const from = Buffer.from(after)
  const rest = after === '' ? found : found.filter(({ bytes }) => Buffer.compare(bytes, from) > 0)
  const page = rest.slice(0, most)
  const isCut = rest.length > page.length
  const entries = page.map(({ key }) => {
    const { size, etag, modified } = objects.get(key) as Remembered
    const at = new Date(modified).toISOString()
    return `<Contents><Key>${encodeURIComponent(key)}</Key><LastModified>${at}</LastModified><ETag>${etag.replaceAll('"', '&quot;')}</ETag><Size>${size}</Size><StorageClass>STANDARD</StorageClass></Contents>`
  })
  const next = isCut
    ? `<NextContinuationToken>${encodeURIComponent(page.at(-1)?.key ?? '')}</NextContinuationToken>`
    : ''
  xml(
    answer,
    200,
    `<ListBucketResult><Name>${bucket}</Name><EncodingType>url</EncodingType><KeyCount>${page.length}</KeyCount><IsTruncated>${isCut}</IsTruncated>${next}${entries.join('')}</ListBucketResult>`,
  )
}

function unknown(asked: IncomingMessage, answer: ServerResponse): void {
  asked.resume()
  refuse(answer, 501, 'NotImplemented')
}

/** HEAD has no body: node leaves it out by itself. */
function refuse(answer: ServerResponse, status: number, code: string): void {
  xml(answer, status, `<Error><Code>${code}</Code><Message>${code}</Message></Error>`)
}

function xml(answer: ServerResponse, status: number, text: string): void {
  const bytes = Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${text}`)
  answer.writeHead(status, [...request, 'content-type', 'application/xml', 'content-length', String(bytes.byteLength)])
  answer.end(bytes)
}

function decoded(path: string): string {
  return path.includes('%') ? decodeURIComponent(path) : path
}

/** What the parent may say; each is answered, with the same, when it is done. */
export type Command = 'forget' | 'silent' | 'answer'

process.on('disconnect', () => process.exit(0))
process.on('message', (command: Command) => {
  if (command === 'forget') objects.clear()
  // What was asked in silence is never answered: whoever still waits for it is to learn that.
  if (isSilent && command === 'answer') server.closeAllConnections()
  if (command !== 'forget') isSilent = command === 'silent'
  process.send?.({ done: command })
})
// Connections last over the pauses between rounds.
server.keepAliveTimeout = 600_000
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
