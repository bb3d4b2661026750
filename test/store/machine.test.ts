import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  appendFile,
  chmod,
  chown,
  cp,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  statfs,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import Database from 'better-sqlite3'
import { describe, expect, onTestFinished, test, type TestContext } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { loadSdk } from '../../src/core/sdk.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import type { HoldfastOptions } from '../../src/holdfast/options.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { type Faults, outage } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'
import { makeFormat1 } from '../journal/format-1.ts'
import { run, scratch } from './run.ts'

/** What is wrong with the machine is an error, or a state, that says what to do. */

const isRoot = process.getuid?.() === 0
const nobody = 65_534

const pair = () => ({ primary: memory({ name: 'a' }), secondary: memory({ name: 'b' }) })

interface Told {
  readonly code: string
  readonly field: string
  readonly rule: string
  /** Each in the message: what is wrong, and what to do about it. */
  readonly says: readonly (string | RegExp)[]
}

async function refusesToOpen(directory: string, told: Told, more: Partial<HoldfastOptions> = {}): Promise<void> {
  const error: unknown = await openHoldfast({ directory, ...pair(), ...more }).then(
    store => store.close().then(() => undefined),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(HoldfastError)
  const { code, field, rule, message, retryable } = error as HoldfastError
  expect({ code, field, rule, retryable, message }).toEqual({ ...plain(told), retryable: false, message })
  expectSays(message, told)
}

function plain({ code, field, rule }: Told): Omit<Told, 'says'> {
  return { code, field, rule }
}

function expectSays(message: string, { says }: Told): void {
  for (const part of says) expect(message).toMatch(part)
}

function skip(context: TestContext, reason: string): never {
  console.log(`skipped: ${reason}`)
  return context.skip(reason)
}

describe('an SDK that is not there', () => {
  test('is UNSUPPORTED, with the command that installs it', () => {
    const load = () => loadSdk('@nobody/has-this', 'holdfast/nobody')
    expect(load).toThrow(HoldfastError)
    expect(load).toThrow('holdfast/nobody needs @nobody/has-this, which is not installed: npm install @nobody/has-this')
    expect(load).toThrow(expect.objectContaining({ code: 'UNSUPPORTED', field: 'sdk', rule: 'missing' }))
  })

  test('is not mistaken for one that is there and lacks something itself', async () => {
    const sdk = join(await scratch(), 'sdk.cjs')
    await writeFile(sdk, "require('@nobody/has-that')")
    expect(() => loadSdk(sdk, 'holdfast/broken')).toThrow(/^Cannot find module '@nobody\/has-that'/)
    await writeFile(join(sdk, '..', 'throws.cjs'), "throw new RangeError('broken')")
    expect(() => loadSdk(join(sdk, '..', 'throws.cjs'), 'holdfast/broken')).toThrow(RangeError)
  })
})

describe('a directory', () => {
  const invalid = (rule: string, ...says: (string | RegExp)[]): Told => ({
    code: 'INVALID',
    field: 'directory',
    rule,
    says,
  })

  test('where not even root may write is refused', async context => {
    const path = '/sys/holdfast-test/store'
    if ((await stat('/sys').catch(() => undefined)) === undefined) return skip(context, 'there is no /sys here')
    await refusesToOpen(path, invalid('permissions', path, /E(ACCES|PERM|ROFS)/, /chown it, or name another|read-only/))
  })

  test('where this user may not write is refused, and nothing is made', async context => {
    const parent = await scratch()
    await chmod(parent, isRoot ? 0o755 : 0o555)
    const path = join(parent, 'store')
    if (isRoot) {
      const { lines, stderr } = await run(['open', path], { uid: nobody })
      if (!stderr.includes('EACCES') && lines.length === 0)
        return skip(context, `no process of another user: ${stderr}`)
      const [line = ''] = lines
      expect(line).toMatch(/^refused .*"INVALID".*"directory".*"permissions".*EACCES/)
      expect(line).toContain('chown it, or name another')
    } else await refusesToOpen(path, invalid('permissions', 'EACCES', 'chown it, or name another'))
    expect(await readdir(parent)).toEqual([])
    await chmod(parent, 0o755)
  })

  test('of another user is refused', async context => {
    if (!isRoot) return skip(context, 'only root can give a directory away')
    const path = join(await scratch(), 'store')
    await mkdir(path, { mode: 0o700 })
    await chown(path, nobody, nobody)
    await refusesToOpen(path, invalid('owner', path, 'belongs to another user', 'chown it'))
    expect(await readdir(path)).toEqual([])
  })

  test('that others may write to is refused, a sticky one like /tmp too', async () => {
    const path = join(await scratch(), 'store')
    await mkdir(path)
    for (const mode of [0o777, 0o1777, 0o770]) {
      await chmod(path, mode)
      await refusesToOpen(path, invalid('permissions', mode.toString(8), 'chmod 700 it', 'name a directory in it'))
    }
    expect(await readdir(path)).toEqual([])
  })

  test('that is a file, or below one, is refused, and the file is left alone', async () => {
    const path = join(await scratch(), 'file')
    await writeFile(path, 'kept')
    await refusesToOpen(path, invalid('kind', `${path} is not a directory`))
    await refusesToOpen(join(path, 'store'), invalid('kind', 'a part of the path is'))
    expect(await readFile(path, 'utf8')).toBe('kept')
  })

  test('that is a symbolic link is refused, wherever it leads (I43, X6)', async () => {
    const root = await scratch()
    await mkdir(join(root, 'real'))
    await symlink(join(root, 'real'), join(root, 'link'))
    await symlink(join(root, 'nowhere'), join(root, 'dangling'))
    for (const name of ['link', 'dangling'])
      await refusesToOpen(join(root, name), invalid('symlink', 'is a symbolic link', 'give the path that it leads to'))
    expect(await readdir(join(root, 'real'))).toEqual([])
  })

  test('in memory is refused, or, told to be ephemeral, acknowledges nothing alone', async context => {
    const shared = '/dev/shm'
    const type = await statfs(shared).then(
      found => found.type,
      () => 0,
    )
    if (type !== 0x01021994) return skip(context, `${shared} is no tmpfs here`)
    const path = join(shared, `holdfast-machine-${process.pid}`)
    onTestFinished(() => rm(path, { recursive: true, force: true }))
    await refusesToOpen(path, invalid('filesystem', 'tmpfs', 'gone after a restart', "disk: 'ephemeral'"))
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })

    const faults: Faults = { rules: [{ fault: outage }] }
    const [primary, secondary] = [faulty(memory({ name: 'a' }), faults), faulty(memory({ name: 'b' }), faults)]
    await using store = await openHoldfast({
      directory: path,
      primary,
      secondary,
      disk: 'ephemeral',
      ackTimeoutMs: 300,
    })
    await expect(store.put('k', 'x', { ack: 'local' })).rejects.toMatchObject({
      code: 'ACK_TIMEOUT',
      outcome: 'accepted',
      message: expect.stringContaining('no provider has it yet'),
    })
  })
})

describe('a directory that was used, and is not what it was', () => {
  /** Closed, with a body in a file, one in a row, and a delete, none of which any provider has. */
  async function used() {
    const directory = await testDirectory()
    const faults: Faults = { rules: [{ fault: outage }] }
    const store = await directory.open([faulty(memory({ name: 'a' }), faults), faulty(memory({ name: 'b' }), faults)])
    await store.put('file', Buffer.alloc(50_000, 'f'))
    await store.put('row', 'in a row')
    await store.delete('gone')
    await store.close()
    return directory
  }

  /** Refused as told, twice, and nothing in the directory is other than before; as it was at first, it opens, whole. */
  async function refusesUntouched(damage: (path: string) => Promise<void>, told: Told): Promise<void> {
    await using directory = await used()
    const { path } = directory
    const kept = `${path}-kept`
    await cp(path, kept, { recursive: true })
    await damage(path)
    const before = await contents(path)
    await refusesToOpen(path, told)
    await refusesToOpen(path, told)
    expect(await contents(path)).toEqual(before)

    await rm(path, { recursive: true })
    await cp(kept, path, { recursive: true })
    await chmod(path, 0o700)
    const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
    const store = await directory.open([a, b])
    await store.drain({ until: 'verified' })
    expect((await bodyAt(a, 'file'))?.byteLength).toBe(50_000)
    expect((await bodyAt(b, 'row'))?.toString()).toBe('in a row')
  }

  /** All that promises rest on. What every opening makes anew (drafts, locks, the reserve) is not. */
  async function contents(path: string): Promise<Readonly<Record<string, string>>> {
    const found: Record<string, string> = {}
    for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
      const name = join(entry.parentPath, entry.name).slice(path.length + 1)
      if (entry.isFile() && /^(holdfast|journal|bodies)/.test(name) && !/-(wal|shm)$/.test(name))
        found[name] = (await readFile(join(path, name))).toString('base64')
    }
    return found
  }

  async function overwrite(path: string, at: number, bytes: Uint8Array): Promise<void> {
    await using file = await open(path, 'r+')
    await file.write(bytes, 0, bytes.byteLength, at)
  }

  const keep = /Keep the directory|delete nothing/

  test('a journal of a later version is not opened, and says who can', () =>
    refusesUntouched(
      async path => {
        const database = new Database(join(path, 'journal.sqlite'))
        database.pragma('user_version = 4')
        database.close()
      },
      {
        code: 'INVALID',
        field: 'journal',
        rule: 'version',
        says: ['has format 4', 'reads formats 1 to 3', 'use the version that wrote it', 'drain it there'],
      },
    ))

  test('a journal whose header is overwritten is CORRUPT, and to be kept', () =>
    refusesUntouched(path => overwrite(join(path, 'journal.sqlite'), 0, Buffer.alloc(100, 0xff)), {
      code: 'CORRUPT',
      field: 'journal',
      rule: 'damaged',
      says: ['journal.sqlite is damaged', keep],
    }))

  test('a journal that is gone while its bodies are there is not made anew', () =>
    refusesUntouched(path => rm(join(path, 'journal.sqlite')), {
      code: 'CORRUPT',
      field: 'journal',
      rule: 'missing',
      says: ['journal.sqlite is missing', 'put it back', keep],
    }))

  test('the holdfast.json of another directory is not believed', () =>
    refusesUntouched(
      path =>
        writeFile(
          join(path, 'holdfast.json'),
          `${JSON.stringify({ format: 1, directory: '01234567-89ab-4def-8123-456789abcdef' })}\n`,
        ),
      {
        code: 'CORRUPT',
        field: 'directory',
        rule: 'identity',
        says: ['holdfast.json says 01234567-89ab-4def-8123-456789abcdef', 'put the right ones back together'],
      },
    ))

  test('a holdfast.json that is gone is not made anew', () =>
    refusesUntouched(path => rm(join(path, 'holdfast.json')), {
      code: 'CORRUPT',
      field: 'directory',
      rule: 'identity',
      says: ['but no holdfast.json', 'is its disk mounted', 'Restore that file', keep],
    }))

  test('a holdfast.json that cannot be read is not made anew', () =>
    refusesUntouched(path => writeFile(join(path, 'holdfast.json'), '{"format":1,'), {
      code: 'CORRUPT',
      field: 'directory',
      rule: 'identity',
      says: ['holdfast.json is damaged', 'restore that file', keep],
    }))

  test('a directory of a later version is not opened', () =>
    refusesUntouched(path => writeFile(join(path, 'holdfast.json'), '{"format":2,"directory":"x"}'), {
      code: 'INVALID',
      field: 'directory',
      rule: 'format',
      says: ['has format 2', 'upgrade it'],
    }))

  test('bodies/ that is gone is a disk that is not mounted, not an empty store', () =>
    refusesUntouched(path => rm(join(path, 'bodies'), { recursive: true }), {
      code: 'CORRUPT',
      field: 'directory',
      rule: 'layout',
      says: ['bodies is missing', 'is its disk mounted'],
    }))
})

describe('a disk without a byte left', () => {
  test.for([1, 2])('keeps nobody from opening a journal of format %i and draining it', async (format, context) => {
    const root = await scratch()
    const command = promisify(execFile)
    const refused = await command('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', root]).catch(
      (error: Error) => error,
    )
    if (refused instanceof Error) return skip(context, `no right to mount a small file system: ${refused.message}`)
    onTestFinished(async () => {
      await command('umount', [root])
    })
    const path = join(root, 'store')
    const options = { directory: path, disk: 'ephemeral', ...pair() } as const
    await (await openHoldfast(options)).close()
    const journal = join(path, 'journal.sqlite')
    if (format === 1) {
      const { directory } = JSON.parse(await readFile(join(path, 'holdfast.json'), 'utf8')) as { directory: string }
      for (const suffix of ['', '-wal', '-shm']) await rm(journal + suffix, { force: true })
      makeFormat1(journal, directory, [{ key: 'old', version: `${'0'.repeat(31)}1`, bytes: Buffer.from('old') }])
      await chmod(journal, 0o600)
    }
    for (const size of [65_536, 512])
      for (let isFull = false; !isFull; )
        isFull = await appendFile(join(root, 'filler'), randomBytes(size)).then(
          () => false,
          () => true,
        )
    const store = await openHoldfast(options)
    if (format === 1) expect(await (await store.get('old'))?.text()).toBe('old')
    await store.delete('old')
    await store.drain()
    await store.close()
  })
})

describe('a directory that a failed write has poisoned', () => {
  test('takes nothing while it is open, and says what to do', async () => {
    await using directory = await testDirectory()
    const store = await directory.open([memory({ name: 'a' }), memory({ name: 'b' })])
    await writeFile(join(directory.path, 'poisoned'), 'EIO\n', { mode: 0o600 })
    for (const body of ['row', Buffer.alloc(50_000)])
      await expect(store.put('k', body)).rejects.toMatchObject({
        code: 'CORRUPT',
        field: 'directory',
        rule: 'poisoned',
        outcome: 'rejected',
        message: expect.stringMatching(
          /nothing is accepted until every process has closed .* and one has opened it again/,
        ),
      })
    expect((await store.status()).stage.journal).toBe('poisoned')
  })

  test('is verified by the next opening: a damaged body is blocked as LOCAL_CORRUPT and goes nowhere, all others drain (I4, I7)', async () => {
    await using directory = await testDirectory()
    const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
    const first = await directory.open([a, b], { replication: { run: 'external' } })
    const { version } = await first.put('damaged', Buffer.alloc(50_000, 'd'))
    const [file = ''] = await readdir(join(directory.path, 'bodies'))
    for (let i = 0; i < 5; i++) await first.put(`whole/${i}`, Buffer.alloc(i * 20_000, i))
    await first.delete('gone')
    await first.close()
    const body = join(directory.path, 'bodies', file)
    const flip = async () => {
      await using handle = await open(body, 'r+')
      const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, 30_000)
      await handle.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, 30_000)
    }
    await flip()
    await writeFile(join(directory.path, 'poisoned'), 'EIO\n', { mode: 0o600 })

    const store = await directory.open([a, b])
    await expect(stat(join(directory.path, 'poisoned'))).rejects.toMatchObject({ code: 'ENOENT' })
    const blocked = await store.drain().catch((error: unknown) => error)
    expect(blocked).toMatchObject({ code: 'BLOCKED', reason: 'LOCAL_CORRUPT', outcome: 'accepted', retryable: false })
    expect((blocked as Error).message).toMatch(/does not take the write \(LOCAL_CORRUPT\).*settle it/)
    const status = await eventually(async () => {
      const now = await store.status()
      return now.done === 6 && now.blocked.writes === 1 ? now : undefined
    })
    expect(status).toMatchObject({
      accepted: 7,
      pending: { writes: 0 },
      held: { writes: 0 },
      blocked: { bytes: 50_000 },
    })
    expect(status.stage.journal).toBe('open')
    expect(status.blocked.reasons.toSorted((x, y) => (x.provider < y.provider ? -1 : 1))).toEqual([
      { provider: 'a', reason: 'LOCAL_CORRUPT', writes: 1 },
      { provider: 'b', reason: 'LOCAL_CORRUPT', writes: 1 },
    ])
    for (const provider of [a, b]) {
      expect(await bodyAt(provider, 'damaged')).toBeUndefined()
      expect((await bodyAt(provider, 'whole/4'))?.byteLength).toBe(80_000)
    }
    // Nobody has it whole: that is not the same as absent.
    await expect(store.get('damaged')).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringMatching(new RegExp(`${body} is damaged: digest`)),
    })
    await store.put('after', 'x', { ack: 'all' })

    // Put right by a person, the next opening sends it.
    await store.close()
    await flip()
    const last = await directory.open([a, b])
    await last.drain({ until: 'verified' })
    expect((await last.head('damaged'))?.version).toBe(version)
    expect(await bodyAt(a, 'damaged')).toEqual(Buffer.alloc(50_000, 'd'))
  })
})
