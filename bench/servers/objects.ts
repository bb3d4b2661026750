import { createHash, hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** What the server remembers of an object: enough to answer for it. */
export interface Remembered {
  /** Bytes. */
  readonly size: number
  /** With its quotes; the MD5 of the body. */
  readonly etag: string
  /** As in Last-Modified. */
  readonly modified: string
  /** Names and values in turn, as they are answered: type, metadata and what else describes it. */
  readonly described: readonly string[]
  /** The same for the checksums that came with it. */
  readonly checksums: readonly string[]
  /** Where it is kept. */
  readonly body: readonly Buffer[] | undefined
}

/** The body of a request: its size and MD5, and its bytes where they are wanted. */
export interface Received {
  readonly size: number
  readonly md5: Buffer
  readonly chunks: readonly Buffer[] | undefined
}

/** Reads a body to its end. Of one that breaks off nothing is heard any more. */
export function receive(request: IncomingMessage, isKept: boolean, done: (received: Received) => void): void {
  let first: Buffer | undefined
  let size = 0
  let hashing: ReturnType<typeof createHash> | undefined
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => {
    size += chunk.byteLength
    if (isKept) chunks.push(chunk)
    // A small body comes in one piece, which is cheaper to hash at once.
    if (first === undefined) {
      first = chunk
      return
    }
    hashing ??= createHash('md5').update(first)
    hashing.update(chunk)
  })
  request.on('end', () => {
    const md5 = hashing?.digest() ?? hash('md5', first ?? Buffer.alloc(0), 'buffer')
    done({ size, md5, chunks: isKept ? chunks : undefined })
  })
}

const describing = new Set([
  'content-type',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
])

/** What S3 would keep of the request. */
export function rememberedOf(request: IncomingMessage, { size, md5, chunks }: Received, modified: string): Remembered {
  const described: string[] = []
  const checksums: string[] = []
  const { rawHeaders } = request
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase()
    const value = rawHeaders[i + 1] as string
    if (name.startsWith('x-amz-meta-') || describing.has(name)) described.push(name, value)
    else if (name.startsWith('x-amz-checksum-')) checksums.push(name, value)
  }
  return { size, etag: `"${md5.toString('hex')}"`, modified, described, checksums, body: chunks }
}
