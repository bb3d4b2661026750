import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { fs } from '../../src/providers/fs.ts'
import { memory } from '../../src/providers/memory.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'

async function scratch(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-faults-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

test('a file system that is not mounted is an empty directory, or none: nothing is written there, nothing is missing for it, and all goes on when it is back (F2, I14, I28)', async () => {
  await using directory = await testDirectory()
  const base = await scratch()
  const root = join(base, 'mount')
  await mkdir(root)
  const [provider, other] = [fs({ root, name: 'fs' }), memory({ name: 'other' })]
  const store = await directory.open([provider, other])
  await store.put('before', 'was there')
  await store.drain({ until: 'verified' })

  await rename(root, join(base, 'away'))
  await store.put('k', 'body')
  await eventually(async () => (await store.status()).providers[0]?.reason === 'BUCKET')
  expect(await (await store.get('before'))?.text()).toBe('was there')
  await mkdir(root)
  await eventually(async () => (await store.status()).providers[0]?.reason === 'IDENTITY')
  expect((await store.status()).blocked.reasons).toEqual([{ provider: 'fs', reason: 'IDENTITY', writes: 1 }])
  expect(await (await store.get('before'))?.text()).toBe('was there')
  await expect(store.get('never was')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  const written = (await readdir(root, { recursive: true, withFileTypes: true })).filter(entry => entry.isFile())
  expect(written.map(({ name }) => name).filter(name => !name.startsWith('.lock'))).toEqual([])
  expect(await keysOf(other)).toEqual(['before', 'k'])

  await rm(root, { recursive: true })
  await rename(join(base, 'away'), root)
  await eventually(async () => (await store.status()).providers[0]?.state === 'up', 20_000)
  await store.drain({ until: 'verified' })
  expect(await keysOf(provider)).toEqual(['before', 'k'])
  expect((await bodyAt(provider, 'k'))?.toString()).toBe('body')
})

test('keys that differ by case, by normal form or by a dot at the end, and keys that are the beginning of others, are objects of their own (F3, F4, I35)', async () => {
  await using directory = await testDirectory()
  const provider = fs({ root: await scratch(), name: 'fs' })
  const store = await directory.open([provider, memory({ name: 'other' })])
  const keys = ['a', 'a/b', 'a/b/c', 'A', 'A/b', 'caf\u00e9', 'cafe\u0301', 'dot', 'dot.', 'CON', 'con', 'con.txt']
  for (const key of keys) await store.put(key, `body of ${key}`)
  await store.drain({ until: 'verified' })
  expect((await keysOf(provider)).toSorted()).toEqual(keys.toSorted())
  for (const key of keys) expect((await bodyAt(provider, key))?.toString()).toBe(`body of ${key}`)
  await store.delete('a')
  await store.delete('cafe\u0301')
  await store.drain({ until: 'verified' })
  expect((await bodyAt(provider, 'a/b'))?.toString()).toBe('body of a/b')
  expect((await bodyAt(provider, 'caf\u00e9'))?.toString()).toBe('body of caf\u00e9')
  expect((await keysOf(provider)).length).toBe(keys.length - 2)
})
