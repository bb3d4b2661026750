/** Choices that one seed repeats. */
export interface Chance {
  /** 0 <= n < limit, whole. */
  below(limit: number): number
  /** True so many times of a hundred. */
  percent(times: number): boolean
  one<T>(of: readonly [T, ...T[]]): T
  /** By weight. */
  weighted<T>(of: readonly (readonly [weight: number, value: T])[]): T
  bytes(count: number): Buffer
}

/** Mulberry32: 32 bits of state are enough for a test. */
export function chanceOf(seed: number): Chance {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const chance: Chance = {
    below: limit => Math.floor(next() * limit),
    percent: times => next() * 100 < times,
    one: of => of[chance.below(of.length)] ?? of[0],
    weighted(of) {
      let at = next() * of.reduce((sum, [weight]) => sum + weight, 0)
      const found = of.find(([weight]) => (at -= weight) < 0) ?? of.at(-1)
      if (found === undefined) throw new Error('nothing to choose from')
      return found[1]
    },
    bytes(count) {
      const block = Uint8Array.from({ length: Math.min(count, 4_096) }, () => chance.below(256))
      const bytes = Buffer.alloc(count, block)
      if (count > 8) bytes.writeUInt32LE(chance.below(2 ** 31), count - 4)
      return bytes
    },
  }
  return chance
}
