import { expect, test } from 'vitest'
import { evacuated } from './evacuation.ts'

test('20,000 objects of 500 MB are evacuated from a banned primary while an app puts and gets at 50 a second; killed twice, it goes on; all is equal (I22, I30)', async () => {
  const result = await evacuated({ objects: 20_000, meanBytes: 25_000, limit: 600, on: 'servers' })
  expect(result).toMatchObject({ impossible: 0, without: ['banned'], filled: true })
})
