import { expect, test } from 'vitest'
import { flipFor } from './flips.ts'

/** Seconds; by hand more. */
const seconds = Number(process.env['HOLDFAST_FLIP_SECONDS'] ?? 20)

test(
  `a journal with a bit flipped anywhere, for ${seconds} s, is refused, or told of, or no worse for it: no wrong byte is served or sent (D10, J6, I7)`,
  async () => {
    const { short } = await flipFor(seconds * 1_000)
    expect(short).toBe(0)
  },
  (seconds + 60) * 1_000,
)
