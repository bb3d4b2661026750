import { readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Clock } from '../../src/core/ports.ts'
import { systemClock } from '../../src/core/system.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import type { StagedFile } from '../../src/stage/stage.ts'
import { bytes, chunksOf, collected } from './bodies.ts'
import { intercepted, systemError } from './disks.ts'
import { again, openScene, put } from './scene.ts'

/** A clock whose wall time and whose steady time are turned by hand. */
function handClock(): Clock & { wallMs: number; steadyMs: number } {
  const clock = {
    wallMs: Date.now(),
    steadyMs: 0,
    now: () => clock.wallMs,
    monotonic: () => clock.steadyMs,
    sleep: systemClock.sleep,
  }
  return clock
}

const hour = 3_600_000
const minute = 60_000

describe('drafts that are left behind', () => {
  test('all go when this process has the directory alone, but for its own (D19, I20)', async () => {
    const mine = await openScene()
    const dead = await openScene({ path: mine.path })
    await dead.stage.receive(chunksOf(bytes(20_000)))
    await dead.stage.receive(chunksOf(bytes(30_000)))
    const draft = await mine.stage.receive(chunksOf(bytes(20_000)))
    await writeFile(join(mine.path, 'drafts', 'notes.txt'), 'of somebody else')
    expect(await mine.stage.sweep.all()).toBe(2)
    expect(await readdir(join(mine.path, 'drafts'))).toHaveLength(2)
    expect(await readdir(join(mine.path, 'drafts'))).toContain('notes.txt')
    expect((await draft.publish()).in).toBe('file')
  })

  test('go among other processes only after an hour without a write, seen by two clocks (D19, P12, I20, I41)', async () => {
    const clock = handClock()
    const mine = await openScene({ clock })
    const other = await openScene({ path: mine.path })
    const draft = await other.stage.receive(chunksOf(bytes(20_000)))
    const own = await mine.stage.receive(chunksOf(bytes(20_000)))
    expect(await mine.stage.sweep.idle()).toBe(0)
    clock.wallMs += 2 * hour
    expect(await mine.stage.sweep.idle(), 'a jump of the wall clock removes nothing').toBe(0)
    clock.wallMs -= 2 * hour
    clock.steadyMs += 2 * minute
    expect(await mine.stage.sweep.idle(), 'two minutes are not an hour').toBe(0)
    clock.wallMs += hour + minute
    expect(await mine.stage.sweep.idle()).toBe(1)
    // Its process lived after all: that put is rejected, nothing is lost.
    await expect(draft.publish()).rejects.toMatchObject({ code: 'UNAVAILABLE', outcome: 'rejected' })
    expect((await own.publish()).in).toBe('file')
  })

  test('stay while somebody still writes to them', async () => {
    const clock = handClock()
    const mine = await openScene({ clock })
    const path = join(mine.path, 'drafts', 'a'.repeat(32))
    await writeFile(path, 'first')
    expect(await mine.stage.sweep.idle()).toBe(0)
    await new Promise(resolve => setTimeout(resolve, 20))
    await writeFile(path, 'second')
    clock.wallMs += 2 * hour
    clock.steadyMs += 2 * minute
    expect(await mine.stage.sweep.idle(), 'it changed since it was seen last').toBe(0)
    clock.steadyMs += 2 * minute
    expect(await mine.stage.sweep.idle()).toBe(1)
  })
})

describe('what is in the trees', () => {
  test('is told with its size and its age, a new name being young (I20)', async () => {
    const clock = handClock()
    const { stage, path } = await openScene({ clock })
    const { file, draft } = await put(stage, bytes(20_000))
    await writeFile(join(path, 'bodies', 'README'), 'of somebody else')
    await new Promise(resolve => setTimeout(resolve, 50))
    const copy = await (await stage.linkDraft({ file, size: 20_000, ...draft.digests })).publish()
    clock.wallMs = Date.now() + minute
    const found: StagedFile[] = []
    for await (const each of stage.files('bodies')) found.push(each)
    expect(found.map(each => each.file).sort()).toEqual([file, copy.in === 'file' ? copy.file : ''].sort())
    for (const each of found) {
      expect(each.size).toBe(20_000)
      expect(each.ageMs).toBeGreaterThanOrEqual(minute)
      expect(each.ageMs).toBeLessThan(2 * minute)
    }
    expect(await Array.fromAsync(stage.files('drafts'))).toEqual([])
  })

  test('moves to the cache and is evicted from there; eviction cannot name a body that is needed (I21)', async () => {
    const { stage, path } = await openScene()
    const body = bytes(20_000)
    const { file, draft } = await put(stage, body)
    await stage.evict(file)
    expect(await readdir(join(path, 'bodies'))).toEqual([file])
    expect(await stage.moveToCache(file)).toBe(true)
    expect(await stage.moveToCache(file)).toBe(false)
    expect(await readdir(join(path, 'bodies'))).toEqual([])
    await stage.unlinkBody(file)
    expect(await readdir(join(path, 'cache'))).toEqual([file])
    const cached = stage.source({ in: 'cache', file }, body.length, draft.digests)
    expect((await collected(cached.open(0, body.length))).equals(body)).toBe(true)
    await stage.evict(file)
    await stage.evict(file)
    expect(await readdir(join(path, 'cache'))).toEqual([])
  })

  test('stays within the tree, whatever name a damaged row may give (I44)', async () => {
    const { stage } = await openScene()
    for (const name of [
      '../holdfast.json',
      '',
      '.',
      'A'.repeat(32),
      'a'.repeat(31),
      `${'a'.repeat(32)}/x`,
      '../'.repeat(11),
    ]) {
      const refusal = { code: 'INVALID', field: 'file', rule: 'name' }
      await expect(stage.evict(name)).rejects.toMatchObject(refusal)
      await expect(stage.unlinkBody(name)).rejects.toMatchObject(refusal)
      await expect(stage.moveToCache(name)).rejects.toMatchObject(refusal)
      const digests = { crc32c: '00000000', md5: '0'.repeat(32) }
      expect(() => stage.source({ in: 'file', file: name }, 1, digests)).toThrow(/not the name of a body/)
    }
  })

  test('may lose its cache at any time', async () => {
    const { stage, path } = await openScene()
    const { file } = await put(stage, bytes(20_000))
    await rm(join(path, 'cache'), { recursive: true })
    expect(await stage.moveToCache(file)).toBe(false)
    expect(await stage.isPoisoned()).toBe(false)
    expect(await readdir(join(path, 'bodies'))).toEqual([file])
  })
})

describe('the reserve', () => {
  test('is given up on a full disk and taken back, whole, when there is room (D6, I31)', async () => {
    const scene = await openScene()
    const reserve = join(scene.path, 'reserve')
    await scene.stage.releaseReserve()
    await expect(stat(reserve)).rejects.toMatchObject({ code: 'ENOENT' })
    await scene.stage.releaseReserve()

    const nearlyFull = { ...nodeDisk, fileSystem: async () => ({ type: 0, freeBytes: 8_388_607 }) }
    expect(await again(scene, nearlyFull).restoreReserve()).toBe(false)
    expect(await scene.stage.restoreReserve()).toBe(true)
    expect((await stat(reserve)).size).toBe(4_194_304)
    expect(await scene.stage.restoreReserve()).toBe(true)
    expect(await readdir(join(scene.path, 'drafts'))).toEqual([])
  })

  test('is never half there', async () => {
    const scene = await openScene()
    await scene.stage.releaseReserve()
    for (const operation of ['file.write', 'file.sync', 'rename'] as const) {
      const full = again(
        scene,
        intercepted(nodeDisk, async (call, run) => {
          if (call.operation === operation) throw systemError('ENOSPC', operation)
          return run()
        }),
      )
      await expect(full.restoreReserve()).rejects.toMatchObject({ code: 'NO_SPACE' })
      expect(await readdir(scene.path)).not.toContain('reserve')
      expect(await readdir(join(scene.path, 'drafts'))).toEqual([])
    }
  })
})
