import { expect, test } from 'vitest'
import { seedOf } from '../core/encode-properties.ts'
import { checkFiles, checkWire } from './keys-wire.ts'

const seed = seedOf('names on the wire')

test.each([
  ['s3', 120],
  ['gcs', 120],
  ['azure', 40],
])(
  'I16, I35, I44: what goes over the wire to %s for %i encoded keys says exactly their names, with a prefix and without',
  async (what, count) => {
    expect(await checkWire(what, seed, count)).toBeGreaterThan(count * 0.8)
  },
  60_000,
)

test('I16: 50 encoded keys are files below the root, and are listed as they were given', async () => {
  expect(await checkFiles(seed, 50)).toBeGreaterThan(40)
})
