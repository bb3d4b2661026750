/**
 * A body whose length and digests are known before the first byte moves, and that can be read again from anywhere.
 * Uploads are only ever made from one: a retry opens it anew.
 */
export interface Source {
  /** Bytes. */
  readonly size: number
  /** Of the whole, 8 hex digits. */
  readonly crc32c: string
  /** Of the whole, 32 hex digits. */
  readonly md5: string
  /**
   * The bytes `start <= byte < end`, each call an independent reading. Ends after exactly `end - start` bytes or throws.
   * Chunks may be views of a larger buffer; the consumer must not write to them.
   */
  open(start: number, end: number): AsyncIterable<Uint8Array>
}

/** A source that is whole in memory: small bodies, markers. */
export function bytesSource(bytes: Uint8Array, digests: { crc32c: string; md5: string }): Source {
  return {
    size: bytes.byteLength,
    crc32c: digests.crc32c,
    md5: digests.md5,
    async *open(start, end) {
      if (end > start) yield bytes.subarray(start, end)
    },
  }
}

/** Reads bytes `start <= byte < end` into one buffer. For what is known to be small. */
export async function readRange(source: Source, start: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start)
  let at = 0
  for await (const chunk of source.open(start, end)) {
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  return bytes
}
