// A CRC is a remainder of polynomials over GF(2) modulo P: the one of two strings one after the other is the first's times
// x^(8·length of the second), plus the second's. So digests of parts that were read in any order give the digest of the whole.
// Numbers here are reflected as CRC32C's are: the highest bit is the coefficient of x^0.

const polynomial = 0x82f63b78

/** CRC32C of `a` followed by `b`, from the CRC32C of each and the length of `b` in bytes. */
export function joinCrc32c(a: number, b: number, bytesOfB: number): number {
  let shift = 0x80000000
  let power = 0x00800000
  // The exponent is 8·bytes: from x^8 on, squared for each binary digit. Not by bit operations: bodies are longer than 32 bits say.
  for (let left = bytesOfB; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) shift = times(shift, power)
    power = times(power, power)
  }
  return (times(shift, a) ^ b) >>> 0
}

function times(a: number, b: number): number {
  let product = 0
  let shifted = b
  for (let bit = 31; bit >= 0; bit--) {
    if ((a >>> bit) & 1) product ^= shifted
    shifted = shifted & 1 ? (shifted >>> 1) ^ polynomial : shifted >>> 1
  }
  return product >>> 0
}
