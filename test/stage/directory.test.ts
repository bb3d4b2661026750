import { chmod, mkdir, readdir, readFile, rm, stat, statfs, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Disk } from '../../src/core/ports.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { type Directory, openDirectory } from '../../src/stage/directory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { type Call, failing, intercepted, recorded, systemError } from './disks.ts'
import { scratch } from './scene.ts'

function open(path: string, kind: 'durable' | 'ephemeral' = 'durable', disk: Disk = nodeDisk): Promise<Directory> {
  return openDirectory({ path, kind, disk, random: systemRandom, clock: systemClock })
}

function onType(type: number, disk: Disk = nodeDisk): Disk {
  return { ...disk, fileSystem: async path => ({ ...(await disk.fileSystem(path)), type }) }
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe('a new directory', () => {
  test('is laid out as FORMAT.md says, private, with a reserve that takes real space', async () => {
    const path = join(await scratch(), 'made', 'on', 'the', 'way')
    const directory = await open(`${path}/`)
    expect(directory).toMatchObject({ path, created: true, ephemeral: false, warnings: [] })
    expect(directory.identity).toMatch(uuid)
    expect((await readdir(path)).sort()).toEqual(['bodies', 'cache', 'drafts', 'holdfast.json', 'reserve'])
    expect(JSON.parse(await readFile(join(path, 'holdfast.json'), 'utf8'))).toEqual({
      format: 1,
      directory: directory.identity,
    })
    for (const made of [path, join(path, '..'), join(path, 'drafts'), join(path, 'bodies'), join(path, 'cache')]) {
      expect((await stat(made)).mode & 0o7777).toBe(0o700)
    }
    for (const file of ['holdfast.json', 'reserve']) expect((await stat(join(path, file))).mode & 0o7777).toBe(0o600)
    const reserve = await stat(join(path, 'reserve'))
    expect(reserve.size).toBe(4_194_304)
    expect(reserve.blocks * 512).toBeGreaterThanOrEqual(4_194_304)
    expect(await readdir(join(path, 'drafts'))).toEqual([])
  })

  test('has its name, its trees and its identity on disk in this order, each before the next', async () => {
    const { disk, calls } = recorded(nodeDisk)
    const root = await scratch()
    await open(join(root, 'a', 'stage'), 'durable', disk)
    const at = (call: string, from = 0): number => {
      const found = calls.indexOf(call, from)
      expect(found, `${call} after ${calls[from]}`).toBeGreaterThanOrEqual(from)
      return found
    }
    const parent = at('syncDirectory a', at('makeDirectory stage'))
    const trees = at('syncDirectory stage', at('makeDirectory cache', parent))
    const bytes = at('file.sync drafts', at('file.write drafts', trees))
    at('syncDirectory stage', at('link holdfast.json', bytes))
  })

  test('whose identity is gone again once it was written is damaged (D9)', async () => {
    const path = join(await scratch(), 'stage')
    const disk: Disk = {
      ...nodeDisk,
      stat: async file => (file.endsWith('holdfast.json') ? undefined : nodeDisk.stat(file)),
    }
    await expect(open(path, 'durable', disk)).rejects.toMatchObject({
      code: 'CORRUPT',
      field: 'directory',
      rule: 'identity',
      outcome: 'rejected',
    })
  })

  test('keeps its identity when it is opened again, also without its cache, drafts and reserve', async () => {
    const path = join(await scratch(), 'stage')
    const first = await open(path)
    for (const name of ['cache', 'drafts', 'reserve']) await rm(join(path, name), { recursive: true })
    const second = await open(path)
    expect(second).toMatchObject({ identity: first.identity, created: false, warnings: [] })
    expect((await readdir(path)).sort()).toEqual(['bodies', 'cache', 'drafts', 'holdfast.json', 'reserve'])
  })

  test('gets one identity from many who make it at once', async () => {
    const path = join(await scratch(), 'stage')
    const all = await Promise.all(Array.from({ length: 12 }, () => open(path)))
    expect(new Set(all.map(each => each.identity)).size).toBe(1)
    expect(all.filter(each => each.created)).toHaveLength(1)
    expect(await readdir(join(path, 'drafts'))).toEqual([])
  })

  test('is made without hard links where the file system has none', async () => {
    const path = join(await scratch(), 'stage')
    const disk = { ...nodeDisk, link: () => Promise.reject(systemError('EPERM', 'link')) }
    const first = await open(path, 'durable', disk)
    expect((await open(path, 'durable', disk)).identity).toBe(first.identity)
  })
})

describe('a directory that is refused', () => {
  test('is one whose path is no path', async () => {
    await expect(open('stage')).rejects.toMatchObject({ code: 'INVALID', field: 'directory', rule: 'path' })
    await expect(open('')).rejects.toMatchObject({ code: 'INVALID', rule: 'path' })
    await expect(open('/tmp/a\0b')).rejects.toMatchObject({ code: 'INVALID', rule: 'path' })
    await expect(open('/')).rejects.toMatchObject({ code: 'INVALID', rule: 'path' })
    await expect(open('/tmp/..')).rejects.toMatchObject({ code: 'INVALID', rule: 'path' })
    await expect(open(undefined as unknown as string)).rejects.toBeInstanceOf(TypeError)
    await expect(open(`${await scratch()}/${'x'.repeat(300)}`)).rejects.toMatchObject({ code: 'INVALID', rule: 'path' })
  })

  test('is a symbolic link, however it is spelled (D9, I43)', async () => {
    const root = await scratch()
    await mkdir(join(root, 'real'), { mode: 0o700 })
    await symlink(join(root, 'real'), join(root, 'link'))
    for (const path of [join(root, 'link'), `${root}/link/`, `${root}/link/.`]) {
      await expect(open(path)).rejects.toMatchObject({ code: 'INVALID', field: 'directory', rule: 'symlink' })
    }
    expect(await readdir(join(root, 'real'))).toEqual([])
    await symlink(join(root, 'nowhere'), join(root, 'dangling'))
    await expect(open(join(root, 'dangling'))).rejects.toMatchObject({ rule: 'symlink' })
    await expect(open(join(root, 'dangling', 'stage'))).rejects.toMatchObject({ code: 'INVALID' })
  })

  test('is a file, or below a file', async () => {
    const path = join(await scratch(), 'file')
    await writeFile(path, 'kept')
    await expect(open(path)).rejects.toMatchObject({ code: 'INVALID', rule: 'kind' })
    await expect(open(join(path, 'stage'))).rejects.toMatchObject({ code: 'INVALID', rule: 'kind' })
    expect(await readFile(path, 'utf8')).toBe('kept')
  })

  test('is one that others may write to, and the message says what to do (I43)', async () => {
    const path = join(await scratch(), 'stage')
    await mkdir(path)
    for (const mode of [0o777, 0o770, 0o702, 0o1777]) {
      await chmod(path, mode)
      const refusal = await open(path).catch((error: unknown) => error)
      expect(refusal).toMatchObject({ code: 'INVALID', field: 'directory', rule: 'permissions', retryable: false })
      expect((refusal as Error).message).toContain('chmod 700')
    }
    expect(await readdir(path)).toEqual([])
  })

  test('is not one that others may only read: it is made private', async () => {
    const path = join(await scratch(), 'stage')
    await mkdir(path)
    await chmod(path, 0o755)
    await open(path)
    expect((await stat(path)).mode & 0o7777).toBe(0o700)
  })

  test('is one of another user', async () => {
    const path = await scratch()
    const disk: Disk = {
      ...nodeDisk,
      stat: async at => {
        const found = await nodeDisk.stat(at)
        return found === undefined ? undefined : { ...found, ours: at !== path }
      },
    }
    await expect(open(path, 'durable', disk)).rejects.toMatchObject({ code: 'INVALID', rule: 'owner' })
  })

  test('is one on memory, network and user-space file systems, before anything is made there (D12)', async () => {
    const root = await scratch()
    const types = [0x01021994, 0x858458f6, 0x6969, 0x517b, 0xfe534d42, 0xff534d42, 0x65735546, 0x00c36400, 0x01021997]
    for (const type of types) {
      const refusal = await open(join(root, 'a', 'stage'), 'durable', onType(type)).catch((error: unknown) => error)
      expect(refusal).toMatchObject({ code: 'INVALID', field: 'directory', rule: 'filesystem' })
      expect((refusal as Error).message).toMatch(/volume.*disk: 'ephemeral'/)
    }
    expect(await readdir(root)).toEqual([])
    const ephemeral = await open(join(root, 'taken'), 'ephemeral', onType(0x01021994))
    expect(ephemeral).toMatchObject({ ephemeral: true, created: true, warnings: [] })
  })

  test('is one on a real tmpfs (D12)', async context => {
    const memory = '/dev/shm'
    const type = await statfs(memory).then(
      found => found.type,
      () => 0,
    )
    if (type !== 0x01021994) {
      console.log(`skipped: ${memory} is no tmpfs here`)
      return context.skip(`${memory} is no tmpfs here`)
    }
    const path = join(memory, `holdfast-stage-${process.pid}`)
    await expect(open(path)).rejects.toMatchObject({ code: 'INVALID', field: 'directory', rule: 'filesystem' })
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
    try {
      expect(await open(path, 'ephemeral')).toMatchObject({ ephemeral: true })
    } finally {
      await rm(path, { recursive: true, force: true })
    }
  })

  test('is not one on an overlay: it is taken with a warning (D12)', async () => {
    const directory = await open(join(await scratch(), 'stage'), 'durable', onType(0x794c7630))
    expect(directory.warnings).toHaveLength(1)
    expect(directory.warnings[0]).toMatch(/overlay.*container.*volume/)
  })

  test('is one that cannot sync directories, unless it is ephemeral (D3)', async () => {
    const root = await scratch()
    const disk = { ...nodeDisk, syncDirectory: () => Promise.reject(systemError('EINVAL', 'fsync')) }
    await expect(open(join(root, 'durable'), 'durable', disk)).rejects.toMatchObject({
      code: 'INVALID',
      field: 'directory',
      rule: 'sync',
    })
    const directory = await open(join(root, 'ephemeral'), 'ephemeral', disk)
    await directory.disk.syncDirectory(directory.path)
    expect(directory.created).toBe(true)
  })

  test('is one where this process may not write (D8, D9)', async () => {
    for (const code of ['EACCES', 'EROFS', 'EPERM']) {
      const path = join(await scratch(), 'stage')
      await open(path)
      const disk = intercepted(nodeDisk, async (call, run) => {
        if (call.operation === 'create') throw systemError(code, 'open')
        return run()
      })
      await expect(open(path, 'durable', disk)).rejects.toMatchObject({ code: 'INVALID', rule: 'permissions' })
      await expect(stat(join(path, 'poisoned'))).rejects.toMatchObject({ code: 'ENOENT' })
    }
  })

  test('is one with a tree on another file system, or with a link for a tree (D9, D14)', async () => {
    const path = join(await scratch(), 'stage')
    await open(path)
    const disk: Disk = {
      ...nodeDisk,
      stat: async at => {
        const found = await nodeDisk.stat(at)
        return found !== undefined && at.endsWith('bodies') ? { ...found, device: found.device + 1 } : found
      },
    }
    await expect(open(path, 'durable', disk)).rejects.toMatchObject({ code: 'INVALID', rule: 'filesystem' })
    await rm(join(path, 'cache'), { recursive: true })
    await symlink('/tmp', join(path, 'cache'))
    await expect(open(path)).rejects.toMatchObject({ code: 'INVALID', rule: 'kind' })
  })
})

describe('a directory that is not what it was', () => {
  test('has bodies or a journal but no identity: nothing is pending there only in appearance (D9, I14, I20)', async () => {
    const path = join(await scratch(), 'stage')
    await open(path)
    await writeFile(join(path, 'bodies', 'a'.repeat(32)), 'the only copy')
    await rm(join(path, 'holdfast.json'))
    await expect(open(path)).rejects.toMatchObject({ code: 'CORRUPT', field: 'directory', rule: 'identity' })
    await rm(join(path, 'bodies', 'a'.repeat(32)))
    await writeFile(join(path, 'journal.sqlite'), '')
    await expect(open(path)).rejects.toMatchObject({ code: 'CORRUPT', field: 'directory', rule: 'identity' })
    expect(await readdir(path)).not.toContain('holdfast.json')
  })

  test('has an identity but no bodies/ (D9, I14)', async () => {
    const path = join(await scratch(), 'stage')
    await open(path)
    await rm(join(path, 'bodies'), { recursive: true })
    await expect(open(path)).rejects.toMatchObject({ code: 'CORRUPT', field: 'directory', rule: 'layout' })
    expect(await readdir(path)).not.toContain('bodies')
  })

  test('has an identity that cannot be read', async () => {
    const path = join(await scratch(), 'stage')
    const { identity } = await open(path)
    const good = JSON.stringify({ format: 1, directory: identity })
    const broken = [
      '',
      '{',
      'null',
      '[]',
      '{"format":1}',
      '{"format":1,"directory":"x"}',
      '{"format":"1"}',
      '{"format":0}',
    ]
    for (const text of [...broken, good.replace('1', '-1'), `${' '.repeat(5000)}${good}`]) {
      await writeFile(join(path, 'holdfast.json'), text)
      await expect(open(path), text).rejects.toMatchObject({ code: 'CORRUPT', field: 'directory', rule: 'identity' })
    }
    await writeFile(join(path, 'holdfast.json'), good)
    expect((await open(path)).identity).toBe(identity)
  })

  test('was made by a later version', async () => {
    const path = join(await scratch(), 'stage')
    await open(path)
    await writeFile(join(path, 'holdfast.json'), '{"format":2,"directory":{"other":true}}')
    await expect(open(path)).rejects.toMatchObject({ code: 'INVALID', field: 'directory', rule: 'format' })
  })
})

describe('opening on a disk that fails', () => {
  test('either succeeds or rejects with what to do, whichever call fails, and the next try succeeds (I6)', {
    timeout: 120_000,
  }, async () => {
    for (const code of ['EIO', 'ENOSPC', 'EMFILE', 'EACCES']) {
      for (let at = 1, failed: Call | undefined = { operation: 'stat', path: '' }; failed !== undefined; at++) {
        const path = join(await scratch(), 'stage')
        const faults = failing(nodeDisk, at, code)
        const outcome = await open(path, 'durable', faults.disk).catch((error: unknown) => error)
        failed = faults.failed
        const codes = {
          EIO: ['CORRUPT'],
          ENOSPC: ['NO_SPACE', 'CORRUPT'],
          EMFILE: ['UNAVAILABLE'],
          EACCES: ['INVALID', 'CORRUPT'],
        }
        if (outcome instanceof Error)
          expect(codes[code as keyof typeof codes], `${code} at ${at}`).toContain((outcome as { code?: string }).code)
        if (failed?.operation === 'syncDirectory' && code === 'EIO') {
          expect(outcome).toMatchObject({ code: 'CORRUPT', field: 'directory', rule: 'poisoned' })
          expect(await readdir(path)).toContain('poisoned')
        }
        const after = await open(path)
        if (!(outcome instanceof Error)) expect(after.identity).toBe((outcome as Directory).identity)
      }
    }
  })

  test('a full disk still opens, with a warning: it must be drained (D6, I31)', async () => {
    const path = join(await scratch(), 'stage')
    const { identity } = await open(path)
    await rm(join(path, 'reserve'))
    const disk = intercepted(nodeDisk, async (call, run) => {
      if (call.operation === 'file.write') throw systemError('ENOSPC', 'write')
      return run()
    })
    const directory = await open(path, 'durable', disk)
    expect(directory.identity).toBe(identity)
    expect(directory.warnings[0]).toMatch(/is full/)
    expect(await readdir(join(path, 'drafts'))).toEqual([])
    await expect(open(join(await scratch(), 'new'), 'durable', disk)).rejects.toMatchObject({ code: 'NO_SPACE' })
  })
})
