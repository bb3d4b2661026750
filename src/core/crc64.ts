/** CRC-64/NVME: polynomial 0xad93d23594c93659, reflected, all ones before and after. Kept as two halves of 32 bits. */
export interface Crc64 {
  update(bytes: Uint8Array): void
  value(): bigint
}

/** The polynomial with its bits in reverse order. */
export const crc64Polynomial = 0x9a6c9329ac4bc9b5n

/** Tables for eight bytes at a time: entry `256 * k + byte` is what the byte does from k places further on. */
const tables = makeTables()

function makeTables(): { low: Int32Array; high: Int32Array } {
  const values: bigint[] = []
  for (let byte = 0; byte < 256; byte++) {
    let value = BigInt(byte)
    for (let bit = 0; bit < 8; bit++) value = (value >> 1n) ^ ((value & 1n) === 1n ? crc64Polynomial : 0n)
    values.push(value)
  }
  for (let at = 256; at < 8 * 256; at++) {
    const before = values[at - 256] as bigint
    values.push((before >> 8n) ^ (values[Number(before & 255n)] as bigint))
  }
  return {
    low: Int32Array.from(values, value => Number(BigInt.asIntN(32, value))),
    high: Int32Array.from(values, value => Number(BigInt.asIntN(32, value >> 32n))),
  }
}

export function crc64(): Crc64 {
  const { low: L, high: H } = tables
  let low = -1
  let high = -1
  return {
    update(bytes) {
      const end = bytes.length
      let at = 0
      for (; at + 8 <= end; at += 8) {
        const x =
          low ^
          ((bytes[at] as number) |
            ((bytes[at + 1] as number) << 8) |
            ((bytes[at + 2] as number) << 16) |
            ((bytes[at + 3] as number) << 24))
        const y =
          high ^
          ((bytes[at + 4] as number) |
            ((bytes[at + 5] as number) << 8) |
            ((bytes[at + 6] as number) << 16) |
            ((bytes[at + 7] as number) << 24))
        const a = 1792 + (x & 255)
        const b = 1536 + ((x >>> 8) & 255)
        const c = 1280 + ((x >>> 16) & 255)
        const d = 1024 + (x >>> 24)
        const e = 768 + (y & 255)
        const f = 512 + ((y >>> 8) & 255)
        const g = 256 + ((y >>> 16) & 255)
        const h = y >>> 24
        low =
          (L[a] as number) ^
          (L[b] as number) ^
          (L[c] as number) ^
          (L[d] as number) ^
          (L[e] as number) ^
          (L[f] as number) ^
          (L[g] as number) ^
          (L[h] as number)
        high =
          (H[a] as number) ^
          (H[b] as number) ^
          (H[c] as number) ^
          (H[d] as number) ^
          (H[e] as number) ^
          (H[f] as number) ^
          (H[g] as number) ^
          (H[h] as number)
      }
      for (; at < end; at++) {
        const index = (low ^ (bytes[at] as number)) & 255
        low = ((low >>> 8) | (high << 24)) ^ (L[index] as number)
        high = (high >>> 8) ^ (H[index] as number)
      }
    },
    value: () => (BigInt(~high >>> 0) << 32n) | BigInt(~low >>> 0),
  }
}
