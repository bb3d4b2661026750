import { createHash } from 'node:crypto'

/** A body of this size that only this seed makes: what is found can be told from anything else. */
export function bodyFor(seed: string, size: number): Buffer {
  const body = Buffer.alloc(size)
  const block = createHash('sha256').update(seed).digest()
  for (let at = 0; at < size; at += block.length) {
    block.writeUInt32LE(at >>> 0, 0)
    block.copy(body, at)
  }
  return body
}
