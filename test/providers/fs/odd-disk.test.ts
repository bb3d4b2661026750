import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { fs } from '../../../src/providers/fs.ts'
import { draftsName } from '../../../src/providers/fs/names.ts'
import { errorOf, putOf } from '../s3-recorder.ts'

// File systems that are not at hand, and moments that do not come by themselves.

vi.mock(import('node:fs/promises'), async original => {
  const real = await original()
  return {
    ...real,
    // As FAT and some network mounts answer. Linux says that a name is taken before it says that there are no links: others need not.
    link: () => Promise.reject(Object.assign(new Error('EPERM: operation not permitted, link'), { code: 'EPERM' })),
    mkdir: (async (path: string, options: number) => {
      await real.mkdir(path, options)
      if (path.endsWith('gone')) await real.rmdir(path)
    }) as typeof real.mkdir,
  }
})

const { signal } = new AbortController()
let root = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'holdfast-fs-'))
})
afterEach(() => rm(root, { recursive: true }))

test('where there are no hard links a create-only put is held by the lock, and no other object is replaced (I12)', async () => {
  const provider = fs({ root })
  const { createIfAbsent, quirks } = await provider.learn(undefined, signal)
  expect({ createIfAbsent, quirks }).toEqual({ createIfAbsent: true, quirks: { locks: 'yes', links: 'none' } })
  const { token } = await provider.put(putOf('k', 'first', { condition: { absent: true } }), signal)
  expect(await errorOf(provider.put(putOf('k', 'second', { condition: { absent: true } }), signal))).toMatchObject({
    code: 'PRECONDITION',
    reason: 'CONDITION',
    outcome: 'rejected',
    key: 'k',
  })
  expect(await provider.head('k', signal)).toMatchObject({ token, size: 5 })
  expect(await readdir(join(root, draftsName))).toEqual([])
})

test('a directory that somebody removes as soon as it is made: the put is tried again later', async () => {
  expect(await errorOf(fs({ root }).put(putOf('gone/k', 'body'), signal))).toMatchObject({
    code: 'UNAVAILABLE',
    reason: 'SERVER',
    outcome: 'rejected',
    retryable: true,
    key: 'gone/k',
    message: expect.stringContaining('vanished'),
  })
  expect(await readdir(join(root, draftsName))).toEqual([])
})
