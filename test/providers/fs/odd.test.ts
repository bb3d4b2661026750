import { spawnSync } from 'node:child_process'
import { chmod, mkdtemp, open, readdir, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { digestsOf } from '../../../src/core/digest.ts'
import { bytesSource } from '../../../src/core/source.ts'
import { fs } from '../../../src/providers/fs.ts'
import { draftsName } from '../../../src/providers/fs/names.ts'
import { all, errorOf, putOf, whole } from '../s3-recorder.ts'

// Files that change under the hands of the driver, and a root that it may not enter.

const { signal } = new AbortController()
const roots: string[] = []
afterEach(async () => {
  for (const root of roots.splice(0)) await rm(root, { recursive: true, force: true })
})

async function newRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'holdfast-fs-'))
  roots.push(root)
  return root
}

const large = Buffer.alloc(1_000_000, 'large')

test('a file that is cut off while it is read ends with an error, not early (I24)', async () => {
  const root = await newRoot()
  const provider = fs({ root })
  await provider.put(putOf('k', large), signal)
  const found = await provider.get(whole('k'), signal)
  await truncate(join(root, 'k!f'), 300_000)
  expect(await errorOf(all(found?.body ?? []))).toMatchObject({
    code: 'CHECKSUM',
    reason: 'MISMATCH',
    key: 'k',
    message: expect.stringContaining('the file ends after'),
  })
})

test('a disk that gives back other bytes than were written stores nothing (I2)', async () => {
  const root = await newRoot()
  const provider = fs({ root })
  const source = {
    ...bytesSource(large, digestsOf(large)),
    async *open() {
      yield large.subarray(0, 600_000)
      // By now the first of it is in the draft.
      const [draft = ''] = await readdir(join(root, draftsName))
      await using file = await open(join(root, draftsName, draft), 'r+')
      await file.write(Buffer.from('rotten'), 0, 6, 100_000)
      yield large.subarray(600_000)
    },
  }
  expect(await errorOf(provider.put({ ...putOf('k', ''), source }, signal))).toMatchObject({
    code: 'UNAVAILABLE',
    reason: 'SERVER',
    outcome: 'rejected',
    message: expect.stringContaining('gave back other bytes'),
  })
  expect(await provider.head('k', signal)).toBeUndefined()
  expect(await readdir(join(root, draftsName))).toEqual([])
})

test('a root that this user may not enter is a matter of credentials, not of one key', async context => {
  const root = await newRoot()
  if (process.getuid?.() === 0) {
    await chmod(root, 0o700)
    const nobody = { uid: 65_534, gid: 65_534, cwd: '/', encoding: 'utf8' } as const
    const script = fileURLToPath(new URL('./child.ts', import.meta.url))
    const { stderr } = spawnSync(process.execPath, [script, root, 'create', '1'], nobody)
    if (!stderr.includes('HoldfastError')) {
      console.log(`SKIPPED no process of another user: ${stderr}`)
      return context.skip()
    }
    expect(stderr).toContain(`no right to read and write ${root} (EACCES)`)
    expect(stderr).toMatch(/code: 'DENIED',[^]*reason: 'CREDENTIALS',/)
    return
  }
  await chmod(root, 0o000)
  const error = await errorOf(fs({ root }).put(putOf('k', 'body'), signal))
  await chmod(root, 0o700)
  expect(error).toMatchObject({ code: 'DENIED', reason: 'CREDENTIALS', outcome: 'rejected' })
})

test('what nobody thought of is an error of ours, worth another try, with its cause', async () => {
  const provider = fs({ root: await newRoot() })
  const odd = { ...putOf('k', 'body'), metadata: null as unknown as Record<string, string> }
  expect(await errorOf(provider.put(odd, signal))).toMatchObject({
    code: 'UNAVAILABLE',
    reason: 'SERVER',
    outcome: 'unknown',
    retryable: true,
    cause: expect.any(TypeError),
  })
})
