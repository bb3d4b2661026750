import { test } from 'vitest'
import { checkEncoding, checkPrefixes, seedOf } from './encode-properties.ts'

const seed = seedOf('a million encoded keys')

test('1,000,000 keys of any kind have names of their own that every provider takes, and lead back to them', () => {
  checkEncoding(seed, 1_000_000)
  checkPrefixes(seed, 200_000)
}, 600_000)
