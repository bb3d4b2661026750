import { expect, test } from 'vitest'
import { seedOf } from '../core/encode-properties.ts'
import { checkFiles, checkWire } from './keys-wire.ts'

const seed = seedOf('many names on the wire')

test.each(['s3', 'gcs', 'azure'])(
  'I16, I35, I44: what goes over the wire to %s for 2,000 encoded keys says exactly their names',
  async what => {
    expect(await checkWire(what, seed, 2000)).toBeGreaterThan(1600)
  },
  600_000,
)

test('I16: 2,000 encoded keys are files below the root', async () => {
  expect(await checkFiles(seed, 2000)).toBeGreaterThan(1600)
}, 600_000)
