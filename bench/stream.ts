import { randomBytes } from 'node:crypto'

const chunkBytes = 65_536
const block = randomBytes(2 * chunkBytes)

/** So many bytes in chunks of 64 KiB, no two neighbours alike, that cost nothing to make. */
export async function* streamOf(bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes; at += chunkBytes) {
    const from = (at / chunkBytes) % chunkBytes
    yield block.subarray(from, from + Math.min(chunkBytes, bytes - at))
  }
}
