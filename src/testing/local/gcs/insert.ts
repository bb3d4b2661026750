import { digester } from '../../../core/digest.ts'
import type { Body } from '../bodies.ts'
import type { LocalRequest, RequestBody } from '../request.ts'
import type { Entry } from '../store.ts'
import { queryConditions } from './conditions.ts'
import { type Keeper, type Sums, sumsOf } from './keeper.ts'
import { invalidArgument, refuse } from './refusal.ts'
import { checkName, describedBy, type Described, type ObjectFacts } from './resource.ts'
import type { Route } from './route.ts'

const descriptionBytes = 1_048_576

export interface Inserted {
  readonly bucket: string
  readonly key: string
  readonly entry: Entry<ObjectFacts>
}

/** An upload in one request: description and bytes together (`multipart`), or bytes alone (`media`). */
export async function insert(keeper: Keeper, request: LocalRequest, { bucket = '', query }: Route): Promise<Inserted> {
  const conditions = queryConditions(query)
  keeper.objects(bucket)
  const arrived =
    query.get('uploadType') === 'multipart'
      ? await readMultipart(keeper, request)
      : await readMedia(keeper, request.body, request.headers['content-type'])
  const { description, body, sums } = arrived
  try {
    const key = query.get('name') ?? nameIn(description)
    checkName(key)
    compareSums(announcedSums(description, request.headers['x-goog-hash']), sums)
    const described: Described = { contentType: arrived.contentType, ...describedBy(description) }
    return { bucket, key, entry: keeper.put({ bucket, key, described, body, sums }, conditions) }
  } catch (error) {
    keeper.store.forget(body)
    throw error
  }
}

interface Arrived {
  readonly description: unknown
  readonly contentType: string
  readonly body: Body
  readonly sums: Required<Sums>
}

/** Bytes on their way into the store, with their digests. */
export function intake(keeper: Keeper): {
  write(chunk: Uint8Array): Promise<void> | undefined
  finish(): Promise<{ body: Body; sums: Required<Sums> }>
  abort(): Promise<void>
} {
  const writer = keeper.store.writer()
  const digests = digester()
  return {
    write(chunk) {
      digests.update(chunk)
      return writer.write(chunk)
    },
    finish: async () => ({ body: await writer.finish(), sums: sumsOf(digests.finish()) }),
    abort: () => writer.abort(),
  }
}

async function readMedia(keeper: Keeper, body: RequestBody, contentType: string | undefined): Promise<Arrived> {
  const into = intake(keeper)
  try {
    for await (const chunk of body) await into.write(chunk)
  } catch (error) {
    await into.abort()
    throw error
  }
  return { description: {}, contentType: contentType ?? octets, ...(await into.finish()) }
}

const octets = 'application/octet-stream'

/**
 * `multipart/related`: JSON, then bytes. The bytes are passed on as they come; only as much is held back as the closing boundary takes,
 * which is the end of the request.
 */
async function readMultipart(keeper: Keeper, { headers, body }: LocalRequest): Promise<Arrived> {
  const boundary = /boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(headers['content-type'] ?? '')
  const mark = boundary?.[1] ?? boundary?.[2]
  if (mark === undefined) refuse(invalidArgument('Missing boundary in the content type of a multipart upload.'))
  const closing = Buffer.from(`\r\n--${mark}--`)
  const holdBack = closing.byteLength + 2
  const into = intake(keeper)
  let head: { description: unknown; contentType: string } | undefined
  let held: Buffer = Buffer.alloc(0)
  try {
    for await (const chunk of body) {
      held = held.byteLength === 0 ? Buffer.from(chunk) : Buffer.concat([held, chunk])
      if (head === undefined) {
        const found = readHead(held, mark)
        if (found === undefined) continue
        head = found
        held = held.subarray(found.length)
      }
      if (held.byteLength <= holdBack) continue
      await into.write(held.subarray(0, held.byteLength - holdBack))
      held = held.subarray(held.byteLength - holdBack)
    }
    const end = held.lastIndexOf(closing)
    if (head === undefined || end < 0) refuse(invalidArgument('Failed to parse the multipart request.'))
    if (end > 0) await into.write(held.subarray(0, end))
    const { description, contentType } = head
    return { description, contentType, ...(await into.finish()) }
  } catch (error) {
    await into.abort()
    throw error
  }
}

/** The first part, and the head of the second. `undefined` while they are not all there. */
function readHead(
  bytes: Buffer,
  mark: string,
): { description: unknown; contentType: string; length: number } | undefined {
  const opening = `--${mark}`
  const first = bytes.indexOf(opening)
  const firstBody = first < 0 ? -1 : bytes.indexOf('\r\n\r\n', first)
  const second = firstBody < 0 ? -1 : bytes.indexOf(`\r\n${opening}`, firstBody)
  const secondHead = second < 0 ? -1 : second + opening.length + 2
  const secondBody = second < 0 ? -1 : bytes.indexOf('\r\n\r\n', secondHead)
  if (secondBody < 0) {
    if (bytes.byteLength > descriptionBytes) refuse(invalidArgument('The metadata part is too large.'))
    return undefined
  }
  const type = /^content-type:\s*(.+)$/im.exec(bytes.toString('latin1', secondHead, secondBody))?.[1]
  return {
    description: parseJson(bytes.subarray(firstBody + 4, second)),
    contentType: type?.trim() ?? octets,
    length: secondBody + 4,
  }
}

export function parseJson(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) return {}
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    refuse({ status: 400, reason: 'parseError', message: 'Parse Error' })
  }
}

/** A request's JSON, of at most a mebibyte. */
export async function readJson(body: RequestBody): Promise<unknown> {
  const bytes = await body.bytes(descriptionBytes)
  if (bytes === undefined) refuse({ status: 413, reason: 'uploadTooLarge', message: 'The request is too large.' })
  return parseJson(bytes)
}

export function nameIn(description: unknown): string {
  const name = (description as { name?: unknown } | null)?.name
  return typeof name === 'string' ? name : ''
}

/** What a client says its bytes add up to: in the description, or in `x-goog-hash: crc32c=…,md5=…`. */
export function announcedSums(description: unknown, header: string | string[] | undefined): Partial<Sums> {
  const { crc32c, md5Hash } = (description ?? {}) as { crc32c?: unknown; md5Hash?: unknown }
  const said: Partial<Record<'crc32c' | 'md5Hash', string>> = {}
  for (const part of String(header ?? '').split(',')) {
    const [, name, value] = /^\s*(crc32c|md5)=(\S+)\s*$/.exec(part) ?? []
    if (value !== undefined) said[name === 'md5' ? 'md5Hash' : 'crc32c'] = value
  }
  if (typeof crc32c === 'string') said.crc32c = crc32c
  if (typeof md5Hash === 'string') said.md5Hash = md5Hash
  return said
}

export function compareSums(announced: Partial<Sums>, found: Required<Sums>): void {
  for (const [name, word] of [
    ['crc32c', 'CRC32C'],
    ['md5Hash', 'MD5 hash'],
  ] as const) {
    const said = announced[name]
    if (said === undefined || said === found[name]) continue
    refuse({
      ...invalidArgument(`Provided ${word} "${said}" doesn't match calculated ${word} "${found[name]}".`),
      xml: 'BadDigest',
    })
  }
}
