import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fileLock } from '../../src/journal/locks.ts'
import { scene, write } from './scene.ts'

test('whoever opens while another process has the directory alone, and for long, is told to try again (D9)', async () => {
  await using at = await scene()
  await (await at.journal()).close()
  const alone = fileLock(join(at.path, 'members.lock'))
  expect(alone.seize()).toBe(true)
  await expect(at.open()).rejects.toMatchObject({ code: 'UNAVAILABLE', field: 'directory', rule: 'verifying' })
  alone.release()
  await (await at.journal()).accept(write('k'))
})

test('nobody gets the lease of a directory in which a write failed (I4)', async () => {
  await using at = await scene()
  const journal = await at.journal()
  const mark = join(at.path, 'poisoned')
  writeFileSync(mark, 'a failed fsync', { mode: 0o600 })
  await expect(journal.lease()).rejects.toMatchObject({ code: 'CORRUPT', field: 'directory', rule: 'poisoned' })
  rmSync(mark)
  expect(await journal.lease()).toBeDefined()
})
