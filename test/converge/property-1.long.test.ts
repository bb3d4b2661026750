import { test } from 'vitest'
import { prove } from './prove.ts'

test('5,000 random runs of three nodes on providers that fail, delay, repeat and lose answers: all end equal, newest first (I10, I12, I13, I15, I23, I25)', async () => {
  await prove(1_000_000, 25, 200)
}, 900_000)
