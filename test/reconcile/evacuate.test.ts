import { expect, test } from 'vitest'
import { evacuated } from './evacuation.ts'

test('a banned primary is evacuated while an app puts and gets, killed twice: nothing fails, all is equal (a small one; I22, I30)', async () => {
  const result = await evacuated({ objects: 300, meanBytes: 4_000, limit: 600, on: 'directories' })
  expect(result).toMatchObject({ impossible: 0, without: ['banned'], filled: true })
}, 120_000)
