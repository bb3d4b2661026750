import { randomBytes } from 'node:crypto'

export function bytes(length: number): Buffer {
  return randomBytes(length)
}

export async function* chunksOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

export async function* inPieces(body: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < body.byteLength; at += pieceBytes) yield body.subarray(at, at + pieceBytes)
}

export async function collected(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}

/** A body that says when it is begun and when it is let go of. */
export function observed(next: (index: number) => Promise<Uint8Array | undefined>): {
  readonly seen: { begun: boolean; letGo: boolean; pulled: number }
  readonly body: AsyncIterable<Uint8Array>
} {
  const seen = { begun: false, letGo: false, pulled: 0 }
  const body: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => {
      seen.begun = true
      return {
        next: async () => {
          const value = await next(seen.pulled++)
          return value === undefined ? { done: true, value } : { done: false, value }
        },
        return: async () => {
          seen.letGo = true
          return { done: true, value: undefined }
        },
      }
    },
  }
  return { seen, body }
}

/** Repeatable chance: mulberry32 of a printed seed. */
export function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
