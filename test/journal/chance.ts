/** Chance that a seed decides, for tests that repeat. */
export interface Chance {
  /** 0 to below `end`. */
  below(end: number): number
  /** Whether it happens, of one in so many. */
  oneIn(count: number): boolean
  of<T>(list: readonly T[]): T
  /** Each of them or not. */
  some<T>(list: readonly T[]): T[]
  hex(bytes: number): string
}

/** Mulberry32: 32 bits of state, plenty for choosing. */
export function chance(seed: number): Chance {
  let state = seed | 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (end: number) => Math.floor(next() * end)
  return {
    below,
    oneIn: count => below(count) === 0,
    of(list) {
      if (list.length === 0) throw new Error('there is nothing to choose from')
      return list[below(list.length)] as (typeof list)[number]
    },
    some: list => list.filter(() => next() < 0.5),
    hex: bytes => Array.from({ length: bytes * 2 }, () => below(16).toString(16)).join(''),
  }
}
