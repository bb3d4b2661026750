import { rm, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Disk } from '../../src/core/ports.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { again, openScene, put, scratch } from './scene.ts'

test('a body that goes away between the look at it and its second name is missing, and nothing is poisoned', async () => {
  const scene = await openScene()
  const body = Buffer.alloc(40_000, 'body')
  const { file, draft } = await put(scene.stage, body)
  const vanishing: Disk = {
    ...nodeDisk,
    link: async (from, to) => {
      await rm(from, { force: true })
      return nodeDisk.link(from, to)
    },
  }
  const stage = again(scene, vanishing)
  const known = { file, size: body.byteLength, ...draft.digests }
  await expect(stage.linkDraft(known)).rejects.toMatchObject({ code: 'CORRUPT', field: 'body', rule: 'missing' })
  const next = await put(stage, body)
  expect(await nodeDisk.stat(join(scene.path, 'bodies', next.file))).toMatchObject({ size: body.byteLength })
})

test('a directory whose holdfast.json is taken away while it is made is not one to begin with (D9)', async () => {
  const path = join(await scratch(), 'stage')
  const vanishing: Disk = {
    ...nodeDisk,
    link: async (from, to) => {
      await nodeDisk.link(from, to)
      await unlink(to)
    },
  }
  await expect(openScene({ path, disk: vanishing })).rejects.toMatchObject({
    code: 'CORRUPT',
    field: 'directory',
    rule: 'identity',
    outcome: 'rejected',
  })
})
