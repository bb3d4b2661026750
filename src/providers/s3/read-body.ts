import { Readable } from 'node:stream'

export interface ReadBody {
  readonly bytes: Buffer
  /** False: it is longer than was to be read, or broke off. */
  readonly isWhole: boolean
  readonly error?: unknown
}

/** The first `limit` bytes of a body. Of an error's body what came is enough: the status decides. Does not reject. */
export async function readBody(body: unknown, limit: number): Promise<ReadBody> {
  if (body instanceof Uint8Array)
    return { bytes: Buffer.from(body.subarray(0, limit)), isWhole: body.byteLength <= limit }
  if (body instanceof Readable) return await collect(body, limit)
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
      chunks.push(chunk)
      size += chunk.byteLength
      if (size > limit) return { bytes: Buffer.concat(chunks).subarray(0, limit), isWhole: false }
    }
  } catch (error) {
    return { bytes: Buffer.concat(chunks), isWhole: false, error }
  }
  return { bytes: Buffer.concat(chunks), isWhole: true }
}

/** By its events: to iterate a stream costs more than all else that is done with a small answer. */
function collect(body: Readable, limit: number): Promise<ReadBody> {
  return new Promise(resolve => {
    const chunks: Uint8Array[] = []
    let size = 0
    const end = (more: Omit<ReadBody, 'bytes'>): void => {
      const [first = nothing] = chunks
      const bytes = chunks.length === 1 && Buffer.isBuffer(first) ? first : Buffer.concat(chunks)
      resolve({ bytes: size > limit ? bytes.subarray(0, limit) : bytes, ...more })
    }
    body.on('data', (chunk: Uint8Array) => {
      chunks.push(chunk)
      size += chunk.byteLength
      if (size <= limit) return
      end({ isWhole: false })
      body.destroy()
    })
    body.once('end', () => end({ isWhole: true }))
    body.on('error', error => end({ isWhole: false, error }))
    body.once('close', () => end({ isWhole: false, error: cutOff }))
    if (body.destroyed) end({ isWhole: false, error: body.errored ?? cutOff })
  })
}

const nothing = Buffer.alloc(0)

/** Made once: what came before it is told by whoever asked. */
const cutOff = Object.assign(new Error('the answer was cut off'), { code: 'ERR_STREAM_PREMATURE_CLOSE' })
