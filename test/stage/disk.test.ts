import { chmod, lstat, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { nodeDisk, writeAll } from '../../src/stage/disk.ts'
import { scratch } from './scene.ts'

describe('the disk', () => {
  test('makes files 0600 and directories 0700 whatever the umask (I43)', async () => {
    const root = await scratch()
    for (const mask of [0o000, 0o022, 0o077, 0o177, 0o777]) {
      const path = join(root, `${mask}`, 'a', 'b')
      const before = process.umask(mask)
      try {
        await nodeDisk.makeDirectory(path)
        const file = await nodeDisk.create(join(path, 'file'))
        await file.close()
      } finally {
        process.umask(before)
      }
      for (const made of [path, join(path, '..'), join(path, '..', '..')]) {
        expect((await stat(made)).mode & 0o7777).toBe(0o700)
      }
      expect((await stat(join(path, 'file'))).mode & 0o7777).toBe(0o600)
    }
  })

  test('makes a directory private that was not', async () => {
    const path = join(await scratch(), 'open')
    await mkdir(path)
    await chmod(path, 0o755)
    await nodeDisk.makeDirectory(path)
    expect((await stat(path)).mode & 0o7777).toBe(0o700)
  })

  test('creates no file where there is one, nor through a symbolic link (I43)', async () => {
    const root = await scratch()
    await writeFile(join(root, 'there'), 'kept')
    await symlink(join(root, 'elsewhere'), join(root, 'link'))
    await expect(nodeDisk.create(join(root, 'there'))).rejects.toMatchObject({ code: 'EEXIST' })
    await expect(nodeDisk.create(join(root, 'link'))).rejects.toMatchObject({ code: 'EEXIST' })
    expect(await readFile(join(root, 'there'), 'utf8')).toBe('kept')
    await expect(lstat(join(root, 'elsewhere'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('reads no file through a symbolic link (I43)', async context => {
    if (process.platform === 'win32') return context.skip('Windows opens no file without following links')
    const root = await scratch()
    await writeFile(join(root, 'secret'), 'of somebody else')
    await symlink(join(root, 'secret'), join(root, 'link'))
    await expect(nodeDisk.read(join(root, 'link'))).rejects.toMatchObject({ code: 'ELOOP' })
    expect((await nodeDisk.stat(join(root, 'link')))?.kind).toBe('link')
  })

  test('goes on after a write that took only a part, and fails when nothing is taken (D6)', async () => {
    const disk = Buffer.alloc(10)
    const taken: number[] = []
    await writeAll(Buffer.from('0123456789'), 0, async (rest, position) => {
      const count = Math.min(rest.byteLength, 3)
      disk.set(rest.subarray(0, count), position)
      taken.push(position)
      return count
    })
    expect(disk.toString()).toBe('0123456789')
    expect(taken).toEqual([0, 3, 6, 9])
    await expect(writeAll(Buffer.from('x'), 0, async () => 0)).rejects.toMatchObject({ code: 'EIO' })
    await expect(
      writeAll(Buffer.from('0123456789'), 0, async (_, position) => {
        if (position > 0) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
        return 4
      }),
    ).rejects.toMatchObject({ code: 'ENOSPC' })
  })

  test('says absence with a value: nothing to stat, nothing to unlink', async () => {
    const root = await scratch()
    expect(await nodeDisk.stat(join(root, 'none'))).toBeUndefined()
    await nodeDisk.unlink(join(root, 'none'))
    await expect(nodeDisk.read(join(root, 'none'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('says when a name changed, also where the bytes did not', async () => {
    const root = await scratch()
    const file = await nodeDisk.create(join(root, 'a'))
    await file.write(Buffer.from('bytes'), 0)
    await file.sync()
    expect(await file.size()).toBe(5)
    await file.close()
    const before = await nodeDisk.stat(join(root, 'a'))
    await new Promise(resolve => setTimeout(resolve, 30))
    await nodeDisk.link(join(root, 'a'), join(root, 'b'))
    const after = await nodeDisk.stat(join(root, 'a'))
    expect(after?.modifiedMs).toBe(before?.modifiedMs)
    expect(after?.changedMs).toBeGreaterThan(before?.changedMs ?? 0)
    expect(after).toMatchObject({ kind: 'file', size: 5, mode: 0o600, ours: true, device: before?.device })
    expect((await nodeDisk.names(root)).sort()).toEqual(['a', 'b'])
  })
})
