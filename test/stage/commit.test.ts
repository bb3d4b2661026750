import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { HoldfastError, type Outcome } from '../../src/core/errors.ts'
import { commitDraft } from '../../src/stage/drafts.ts'
import { bytes, chunksOf } from './bodies.ts'
import { openScene } from './scene.ts'

test('a commit that was refused takes its body away, one of which nobody knows leaves it (I3, I5)', async () => {
  const scene = await openScene()
  const bodies = () => readdir(join(scene.path, 'bodies'))
  const failing = async (outcome: Outcome) => {
    const draft = await scene.stage.receive(chunksOf(bytes(20_000)))
    const error = new HoldfastError('CORRUPT', 'on purpose', { outcome })
    await expect(commitDraft(draft, () => Promise.reject(error))).rejects.toBe(error)
    expect(scene.stage.reservedBytes).toBe(0)
  }
  await failing('rejected')
  expect(await bodies()).toHaveLength(0)
  await failing('unknown')
  expect(await bodies()).toHaveLength(1)
})
