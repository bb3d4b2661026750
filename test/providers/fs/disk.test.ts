import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test, vi } from 'vitest'
import { compareKeys } from '../../../src/core/key.ts'
import { noMemo, type Provider, type PutCondition } from '../../../src/core/provider.ts'
import { fs } from '../../../src/providers/fs.ts'
import { seededRandom } from '../../../src/testing/clock.ts'
import { bytesOf, collect, content, expectedList, shape, sourceOf } from '../../../src/testing/conformance/bench.ts'

const { signal } = new AbortController()
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function newRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'holdfast-fs-'))
  cleanups.push(() => rm(root, { recursive: true, force: true }))
  return root
}

function put(provider: Provider, key: string, body: string | Uint8Array, condition?: PutCondition) {
  const headers = { contentType: 'text/plain' }
  return provider.put({ key, source: sourceOf(body), headers, metadata: {}, condition, upload: noMemo }, signal)
}

async function text(provider: Provider, key: string): Promise<string | undefined> {
  const found = await provider.get({ key, range: undefined, token: undefined }, signal)
  return found && (await bytesOf(found)).toString()
}

const everything = { prefix: '', delimiter: '', startAfter: '' }

async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name))
    .sort()
}

test('an object is one file below the root, for our eyes only', async () => {
  const root = await newRoot()
  await put(fs({ root }), 'photos/Cat.jpg', 'meow')
  const path = join(root, 'photos/!43at.jpg!f')
  expect(await filesBelow(root)).toEqual([join(root, '!lock'), path].sort())
  expect((await readFile(path, 'utf8')).endsWith('\nmeow')).toBe(true)
  for (const file of await filesBelow(root)) expect((await lstat(file)).mode & 0o777).toBe(0o600)
  for (const directory of ['photos', '!drafts']) expect((await lstat(join(root, directory))).mode & 0o777).toBe(0o700)
})

test('directories go with their last object, and come again', async () => {
  const root = await newRoot()
  const provider = fs({ root })
  await put(provider, 'a/b/c/d', '1')
  await put(provider, 'a/x', '2')
  await provider.delete('a/b/c/d', undefined, signal)
  expect(await readdir(join(root, 'a'))).toEqual(['x!f'])
  await put(provider, 'a/b/c/e', '3')
  await provider.delete('a/x', undefined, signal)
  await provider.delete('a/b/c/e', undefined, signal)
  expect((await readdir(root)).sort()).toEqual(['!drafts', '!lock'])
  expect(await collect(provider.list(everything, signal))).toEqual([])
})

test('what is in the root without being ours is left alone, and not shown', async () => {
  const root = await newRoot()
  const provider = fs({ root })
  await put(provider, 'a/b', 'ours')
  for (const name of ['README', 'a/thumbs.db', 'A!f', 'x!zz!f', '.DS_Store'])
    await writeFile(join(root, name), 'theirs')
  await mkdir(join(root, 'empty'))
  await mkdir(join(root, 'Upper'))
  expect(shape(await collect(provider.list(everything, signal)))).toEqual(['object a/b'])
  expect(shape(await collect(provider.list({ ...everything, delimiter: '/' }, signal)))).toEqual(['prefix a/'])
  await provider.delete('a/b', undefined, signal)
  expect(await readFile(join(root, 'a/thumbs.db'), 'utf8')).toBe('theirs')
})

test('listings of random trees are what a model says', async () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  const random = seededRandom(seed)
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random.number() * of.length)] as T
  const names = [
    'a',
    'A',
    'a-',
    'a0',
    'b',
    'é',
    '\u{1f600}',
    '\uffee',
    '',
    'a!f',
    '!',
    'z',
    'x'.repeat(210),
    'y'.repeat(210),
  ]
  const root = await newRoot()
  const provider = fs({ root })
  const keys = new Set<string>()
  for (let i = 0; i < 60; i++) {
    const key = Array.from({ length: 1 + Math.floor(random.number() * 4) }, () => pick(names)).join('/')
    if (provider.refuseKey(key) !== undefined) continue
    await put(provider, key, '')
    keys.add(key)
  }
  for (let i = 0; i < 150; i++) {
    const some = pick([...keys])
    const request = {
      prefix: pick([
        '',
        '',
        some.slice(0, Math.floor(random.number() * (some.length + 1))).toWellFormed(),
        some,
        `${some}/`,
      ]),
      delimiter: pick(['', '/', '/', 'a', '-']),
      startAfter: pick([
        '',
        '',
        pick([...keys]),
        some.slice(0, Math.floor(random.number() * some.length)),
        `${some}/`,
        `${some}\u{10ffff}`,
      ]),
    }
    const found = shape(await collect(provider.list(request, signal)))
    expect(found, `seed ${seed}, ${JSON.stringify(request)}`).toEqual(expectedList(keys, request))
  }
  expect(shape(await collect(provider.list(everything, signal)))).toEqual(
    [...keys].sort(compareKeys).map(key => `object ${key}`),
  )
})

test('a listing folds without going into what it folds', async () => {
  const root = await newRoot()
  const provider = fs({ root })
  for (const key of ['a/1/x', 'a/2/x', 'b/1']) await put(provider, key, '')
  // Whoever reads the names in here has to know what this one stands for, and cannot.
  await writeFile(join(root, 'a/2', `x!H${'0'.repeat(64)}!f`), 'damaged')
  const folded = { ...everything, delimiter: '/' }
  expect(shape(await collect(provider.list(folded, signal)))).toEqual(['prefix a/', 'prefix b/'])
  const whole = collect(provider.list(everything, signal))
  await expect(whole).rejects.toMatchObject({ code: 'CHECKSUM', reason: 'MISMATCH' })
})

test('a symbolic link below the root is refused, wherever it leads (F5, I44, X6)', async () => {
  const [root, outside] = [await newRoot(), await newRoot()]
  const provider = fs({ root })
  await put(fs({ root: outside }), 'secret', 'not yours')
  await put(provider, 'real/file', 'ours')
  await symlink(outside, join(root, 'planted'))
  await symlink(join(root, 'real'), join(root, 'alias'))
  await symlink(join(outside, 'secret!f'), join(root, 'linked!f'))
  const before = await filesBelow(outside)
  const refused = { code: 'DENIED', reason: 'REFUSED' }
  for (const key of ['planted/secret', 'planted/new', 'planted/new/deeper', 'alias/file', 'linked']) {
    if (key !== 'planted/new/deeper') await expect(provider.head(key, signal), key).rejects.toMatchObject(refused)
    if (key === 'linked') continue
    await expect(put(provider, key, 'x'), key).rejects.toMatchObject({ ...refused, outcome: 'rejected' })
    if (key !== 'planted/new/deeper')
      await expect(provider.delete(key, undefined, signal), key).rejects.toMatchObject(refused)
  }
  await expect(collect(provider.list({ ...everything, prefix: 'planted/' }, signal))).rejects.toMatchObject(refused)
  expect(shape(await collect(provider.list(everything, signal)))).toEqual(['object real/file'])
  expect(await filesBelow(outside)).toEqual(before)
  expect(await readdir(outside)).not.toContain('new')
  // A put takes the place of a link, and writes nothing through it.
  await put(provider, 'linked', 'ours now')
  expect(await text(provider, 'linked')).toBe('ours now')
  expect(await text(fs({ root: outside }), 'secret')).toBe('not yours')
})

test('a root may itself be a link, and its directory may be moved away and back', async () => {
  const root = await newRoot()
  const door = join(await newRoot(), 'door')
  await symlink(root, door)
  const provider = fs({ root: door })
  await put(provider, 'a/b', 'x')
  expect(await text(fs({ root }), 'a/b')).toBe('x')
  await rm(door)
  await expect(provider.head('a/b', signal)).rejects.toMatchObject({ code: 'DENIED', reason: 'BUCKET' })
  const other = await newRoot()
  await symlink(other, door)
  expect(await provider.head('a/b', signal)).toBeUndefined()
  await put(provider, 'c/d', 'y')
  expect(await text(fs({ root: other }), 'c/d')).toBe('y')
})

test('a root that is no directory is a missing bucket (F2, I14)', async () => {
  const path = join(await newRoot(), 'file')
  await writeFile(path, '')
  const provider = fs({ root: path })
  for (const call of [
    () => provider.head('a', signal),
    () => put(provider, 'a', 'x'),
    () => collect(provider.list(everything, signal)),
    () => provider.learn(undefined, signal),
  ]) {
    await expect(call()).rejects.toMatchObject({ code: 'DENIED', reason: 'BUCKET' })
  }
})

test('a damaged file is never read as if it were whole, is seen as another object, and can be replaced (F1, I7, I24)', async () => {
  const root = await newRoot()
  const provider = fs({ root })
  const path = join(root, 'k!f')
  const flip = async (at: number): Promise<void> => {
    const bytes = await readFile(path)
    bytes[at] = (bytes[at] as number) ^ 1
    await writeFile(path, bytes)
  }
  const longer = async (): Promise<void> =>
    await writeFile(path, Buffer.concat([await readFile(path), Buffer.from('x')]))
  const damages: readonly (readonly [string, number, number, () => Promise<unknown>])[] = [
    ['cut in the body', 1000 - 17, 1, async () => await truncate(path, (await lstat(path)).size - 17)],
    ['a byte at the end', 1001, 1, longer],
    ['cut in the record', 50, 0, () => truncate(path, 50)],
    ['empty', 0, 0, () => truncate(path, 0)],
    ['a flipped bit in the record', -1, 0, () => flip(60)],
    ['a flipped bit in the first line', -1, 0, () => flip(16)],
    ['another file', 10_000, 0, () => writeFile(path, 'x'.repeat(10_000))],
  ]
  for (const [name, size, entries, damage] of damages) {
    const headers = { contentType: 'text/plain' }
    const source = sourceOf(content(1000))
    const request = { key: 'k', source, headers, metadata: { a: 'b' }, condition: undefined, upload: noMemo }
    const { token } = await provider.put(request, signal)
    await damage()
    const seen = await provider.head('k', signal)
    expect(seen?.size, name).toBe(size < 0 ? (await lstat(path)).size : size)
    expect(Object.entries(seen?.metadata ?? {}), name).toHaveLength(entries)
    expect(seen?.token === token, name).toBe(entries === 1)
    expect(seen?.modifiedAt.getTime() === 0, name).toBe(entries === 0)
    expect(seen?.etag, name).toBeUndefined()
    await expect(text(provider, 'k'), name).rejects.toMatchObject({ code: 'CHECKSUM', reason: 'MISMATCH', key: 'k' })
    expect(await collect(provider.list(everything, signal)), name).toMatchObject([{ key: 'k', token: seen?.token }])
    await expect(put(provider, 'k', 'x', { absent: true }), name).rejects.toMatchObject({ code: 'PRECONDITION' })
    await expect(put(provider, 'k', 'x', { token: 'other' }), name).rejects.toMatchObject({ code: 'PRECONDITION' })
    await put(provider, 'k', 'whole again', { token: seen?.token ?? '' })
    expect(await text(provider, 'k'), name).toBe('whole again')
  }
})

test('what is no file in the place of one keeps nobody waiting', async () => {
  const root = await newRoot()
  const provider = fs({ root })
  execFileSync('mkfifo', [join(root, 'pipe!f')])
  await mkdir(join(root, 'directory!f'))
  for (const key of ['pipe', 'directory']) {
    await expect(provider.head(key, signal), key).rejects.toMatchObject({ retryable: false })
    await expect(text(provider, key), key).rejects.toMatchObject({ retryable: false })
  }
  expect(await collect(provider.list(everything, signal))).toEqual([])
})

test('drafts that a crash left are removed a day later, and no sooner (F1, I16)', async () => {
  const root = await newRoot()
  await put(fs({ root }), 'a', 'x')
  const [old, young] = [join(root, '!drafts', '0'.repeat(32)), join(root, '!drafts', '1'.repeat(32))]
  await writeFile(old, '')
  await writeFile(young, '')
  await utimes(old, new Date(), new Date(Date.now() - 90_000_000))
  await put(fs({ root }), 'b', 'x')
  await expect.poll(() => readdir(join(root, '!drafts'))).toEqual(['1'.repeat(32)])
})

test('what the system says is told as ours (F1)', async () => {
  const provider = fs({ root: await newRoot() })
  const of = (code: string) => provider.classify(Object.assign(new Error(code), { code, syscall: 'write' }))
  expect(of('ENOSPC')).toMatchObject({ code: 'NO_SPACE', retryable: true })
  expect(of('EDQUOT')).toMatchObject({ code: 'NO_SPACE', retryable: true })
  expect(of('EIO')).toMatchObject({ code: 'UNAVAILABLE', reason: 'SERVER', retryable: true })
  expect(of('ESTALE')).toMatchObject({ code: 'UNAVAILABLE', reason: 'SERVER' })
  expect(of('EACCES')).toMatchObject({ code: 'DENIED', reason: 'FORBIDDEN', retryable: false })
  expect(of('EROFS')).toMatchObject({ code: 'DENIED', reason: 'CREDENTIALS' })
  expect(of('EMFILE')).toMatchObject({ code: 'UNAVAILABLE', reason: 'THROTTLED' })
  expect(of('ENOTCONN')).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK' })
})

test('options that cannot be are refused', () => {
  expect(() => fs({ root: 'relative/path' })).toThrow(
    expect.objectContaining({ code: 'INVALID', field: 'root', rule: 'relative' }),
  )
  expect(() => fs({ root: '/a\0b' })).toThrow(expect.objectContaining({ code: 'INVALID', field: 'root' }))
  expect(() => fs({ root: '/x', rot: 1 } as never)).toThrow(
    expect.objectContaining({ code: 'INVALID', rule: 'unknown' }),
  )
  expect(() => fs({} as never)).toThrow(TypeError)
  expect(() => fs(undefined as never)).toThrow(TypeError)
  expect(fs({ root: '/mnt/backup/' })).toMatchObject({ name: 'fs:/mnt/backup', location: 'fs:/mnt/backup', kind: 'fs' })
  expect(fs({ root: '/mnt/backup', name: 'disk' })).toMatchObject({ name: 'disk', location: 'fs:/mnt/backup' })
})

// ---- several processes --------------------------------------------------------------------------------------------

interface Running {
  readonly child: ChildProcess
  readonly lines: string[]
  readonly ended: Promise<unknown>
}

function start(root: string, what: string, count: number): Running {
  const script = fileURLToPath(new URL('./child.ts', import.meta.url))
  const child = spawn(process.execPath, [script, root, what, String(count)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', line => lines.push(line))
  cleanups.push(() => child.kill('SIGKILL'))
  return { child, lines, ended: once(child, 'close') }
}

test('conditions are atomic between processes: no increment is lost', async () => {
  const root = await newRoot()
  const processes = [start(root, 'increment', 40), start(root, 'increment', 40), start(root, 'increment', 40)]
  await Promise.all(processes.map(one => one.ended))
  expect(await text(fs({ root }), 'counter')).toBe('120')
})

test('conditions are atomic between processes: of several creates one wins', async () => {
  const root = await newRoot()
  const creators = [start(root, 'create', 40), start(root, 'create', 40), start(root, 'create', 40)]
  await Promise.all(creators.map(one => one.ended))
  const created = creators.flatMap(one => one.lines.map(line => [Number(line), one.child.pid] as const))
  expect(created.map(([i]) => i).sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_none, i) => i))
  for (const [i, pid] of created) expect(await text(fs({ root }), `race/${i}`)).toBe(String(pid))
})

test("directories made and pruned by several processes at once get in nobody's way", async () => {
  const root = await newRoot()
  const processes = [start(root, 'churn', 60), start(root, 'churn', 60), start(root, 'churn', 60)]
  for (const one of processes) {
    await one.ended
    expect(one.child.exitCode).toBe(0)
  }
  const provider = fs({ root })
  for (const entry of await collect(provider.list(everything, signal))) {
    if (entry.type === 'object') expect(await text(provider, entry.key)).toMatch(/^body \d+ \d+$/)
  }
})

test('a killed writer leaves whole objects, all that it had acknowledged, and no lock (F1, I1, I3)', async () => {
  const root = await newRoot()
  const acknowledged: string[] = []
  for (let round = 0; round < 4; round++) {
    const one = start(root, 'put', 10_000)
    await expect.poll(() => one.lines.length, { timeout: 15_000, interval: 5 }).toBeGreaterThan(8 + round * 7)
    one.child.kill('SIGKILL')
    await one.ended
    acknowledged.push(...one.lines)
  }
  const provider = fs({ root })
  for (const key of acknowledged) expect(await text(provider, key)).toBe(`body ${key.split('/').at(-1)}`)
  for (const entry of await collect(provider.list(everything, signal))) {
    if (entry.type === 'object') expect(await text(provider, entry.key)).toBe(`body ${entry.key.split('/').at(-1)}`)
  }
  await put(provider, 'body/after', 'the lock was free')
})

// ---- a full disk, a power cut: need the rights to mount -------------------------------------------------------------

/** A file that is being closed keeps it busy for a moment. */
async function unmounted(at: string): Promise<void> {
  await vi.waitFor(() => execFileSync('umount', [at], { stdio: 'ignore' }), { timeout: 5000 })
}

function mounted(...args: readonly string[]): boolean {
  const at = args.at(-1) as string
  try {
    execFileSync('mount', args, { stdio: 'ignore' })
  } catch {
    return false
  }
  cleanups.push(() => unmounted(at))
  return true
}

test('a full disk refuses the put, keeps what was there, and takes more when there is room again (F1, D6, I3)', async context => {
  const root = await newRoot()
  if (!mounted('-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', root))
    return context.skip('no right to mount a small file system')
  const provider = fs({ root })
  await provider.learn(undefined, signal)
  await put(provider, 'first', content(1_000_000))
  await expect(put(provider, 'second', content(5_000_000))).rejects.toMatchObject({
    code: 'NO_SPACE',
    outcome: 'rejected',
    retryable: true,
  })
  expect(await provider.head('second', signal)).toBeUndefined()
  expect(await readdir(join(root, '!drafts'))).toEqual([])
  expect((await provider.head('first', signal))?.size).toBe(1_000_000)
  await put(provider, 'second', content(1_000_000))
})

test('a mount that is made read-only refuses writes as a whole, and still reads (F1)', async context => {
  const root = await newRoot()
  if (!mounted('-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', root))
    return context.skip('no right to mount a small file system')
  const provider = fs({ root })
  await put(provider, 'a', 'x')
  execFileSync('mount', ['-o', 'remount,ro', root])
  await expect(put(provider, 'b', 'x')).rejects.toMatchObject({
    code: 'DENIED',
    reason: 'CREDENTIALS',
    outcome: 'rejected',
  })
  await expect(provider.delete('a', undefined, signal)).rejects.toMatchObject({ code: 'DENIED', reason: 'CREDENTIALS' })
  expect(await text(provider, 'a')).toBe('x')
})

test('after a power cut everything acknowledged is there, whole (F1, F6, I1)', async context => {
  const [image, crashed, root, after] = await Promise.all(
    ['image', 'crashed', 'root', 'after'].map(async name => join(await newRoot(), name)),
  )
  if (image === undefined || crashed === undefined || root === undefined || after === undefined) return
  await mkdir(root)
  await mkdir(after)
  try {
    execFileSync('truncate', ['-s', '24m', image])
    execFileSync('mkfs.ext4', ['-q', image])
  } catch {
    return context.skip('no mkfs.ext4')
  }
  if (!mounted('-o', 'loop', image, root)) return context.skip('no right to mount an image')
  const provider = fs({ root })
  const kept = new Map<string, string | undefined>()
  for (let i = 0; i < 12; i++) {
    const key = `new/${i % 4}/directory/${i}`
    await put(provider, key, `body ${i}`)
    kept.set(key, `body ${i}`)
    if (i % 3 === 2) {
      await provider.delete(`new/${(i - 1) % 4}/directory/${i - 1}`, undefined, signal)
      kept.set(`new/${(i - 1) % 4}/directory/${i - 1}`, undefined)
    }
    // What is in the image now is what a disk would have without power: nothing that was not synced.
    execFileSync('cp', ['--sparse=always', image, crashed])
    if (!mounted('-o', 'loop', crashed, after)) return context.skip('no second loop device')
    const survivor = fs({ root: after })
    for (const [name, body] of kept) expect(await text(survivor, name), `${name} after ${i}`).toBe(body)
    await unmounted(after)
    cleanups.pop()
  }
  expect(dirname(after)).not.toBe(dirname(root))
})
