/** The name of the `i`th object: no two alike below 2^32, and in no order, so that each new one goes somewhere else among those that are there. */
export function keyOf(i: number): string {
  return `photos/${(Math.imul(i, 2_654_435_761) >>> 0).toString(16).padStart(8, '0')}.jpg`
}
