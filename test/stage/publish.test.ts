import { link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Disk } from '../../src/core/ports.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { bytes, chunksOf, collected, inPieces } from './bodies.ts'
import { type Call, failing, intercepted, recorded, systemError } from './disks.ts'
import { again, openScene, put } from './scene.ts'

const poisoned = { code: 'CORRUPT', field: 'directory', rule: 'poisoned', outcome: 'rejected', retryable: false }

function failingAt(operation: Call['operation'], part: string, code: string, disk: Disk = nodeDisk): Disk {
  return intercepted(disk, async (call, run) => {
    if (call.operation === operation && call.path.includes(part)) throw systemError(code, operation)
    return run()
  })
}

describe('publishing', () => {
  test('puts bytes on disk before the name, and the name before it resolves (I5)', async () => {
    const scene = await openScene()
    const { disk, calls } = recorded(nodeDisk)
    const stage = again(scene, disk)
    const draft = await stage.receive(inPieces(bytes(600_000), 100_000))
    expect(calls.at(-1)).toBe('file.close drafts')
    await draft.publish()
    expect(calls.filter(call => !call.startsWith('stat '))).toEqual([
      'create drafts',
      'file.write drafts',
      'file.write drafts',
      'file.write drafts',
      'file.sync drafts',
      'file.close drafts',
      'rename bodies',
      'syncDirectory bodies',
    ])
  })

  test('shares one sync of the directory among those who come while one runs', async () => {
    const scene = await openScene()
    let syncs = 0
    const stage = again(
      scene,
      intercepted(nodeDisk, async (call, run) => {
        if (call.operation !== 'syncDirectory') return run()
        syncs++
        await new Promise(resolve => setTimeout(resolve, 20))
        return run()
      }),
    )
    const drafts = await Promise.all(Array.from({ length: 50 }, () => stage.receive(chunksOf(bytes(20_000)))))
    const files = await Promise.all(drafts.map(draft => draft.publish()))
    expect(new Set(files.map(each => each.in === 'file' && each.file)).size).toBe(50)
    expect(syncs).toBeGreaterThanOrEqual(2)
    expect(syncs).toBeLessThanOrEqual(4)
    expect(await readdir(join(scene.path, 'bodies'))).toHaveLength(50)
  })

  test('never rests on a sync that began before the rename (I5)', async () => {
    const scene = await openScene()
    let running = 0
    const begun: Set<string>[] = []
    const renamed = new Set<string>()
    const stage = again(
      scene,
      intercepted(nodeDisk, async (call, run) => {
        if (call.operation === 'rename') {
          const done = await run()
          renamed.add(call.path)
          return done
        }
        if (call.operation !== 'syncDirectory') return run()
        expect(++running).toBe(1)
        begun.push(new Set(renamed))
        await new Promise(resolve => setTimeout(resolve, 3))
        const done = await run()
        running--
        return done
      }),
    )
    const one = async (): Promise<void> => {
      for (let i = 0; i < 15; i++) {
        const draft = await stage.receive(chunksOf(bytes(17_000)))
        const published = await draft.publish()
        const path = published.in === 'file' ? join(scene.path, 'bodies', published.file) : ''
        expect(begun.some(names => names.has(path))).toBe(true)
        draft.release()
      }
    }
    await Promise.all(Array.from({ length: 6 }, one))
  })

  test('needs no disk for a small body, and answers the same when asked again', async () => {
    const scene = await openScene()
    const { disk, calls } = recorded(nodeDisk)
    const stage = again(scene, disk)
    const small = await stage.receive(chunksOf(Buffer.from('small')))
    expect(await small.publish()).toEqual({ in: 'row', bytes: new Uint8Array(Buffer.from('small')) })
    expect(calls).toEqual([])
    const large = await stage.receive(chunksOf(bytes(20_000)))
    const [first, second] = await Promise.all([large.publish(), large.publish()])
    expect(second).toEqual(first)
    expect(calls.filter(call => call === 'rename bodies')).toHaveLength(1)
  })

  test('leaves a published body alone when its scope is left, and removes it only when told (I19, I20)', async () => {
    const { stage, path } = await openScene()
    {
      await using draft = await stage.receive(chunksOf(bytes(20_000)))
      await draft.publish()
    }
    expect(await readdir(join(path, 'bodies'))).toHaveLength(1)
    const refused = await stage.receive(chunksOf(bytes(20_000)))
    await refused.publish()
    await refused.discard()
    await refused.discard()
    expect(await readdir(join(path, 'bodies'))).toHaveLength(1)
    expect(stage.reservedBytes).toBe(0)
  })

  test('rejects, and spoils nothing for others, when something else removed the draft (D15)', async () => {
    const { stage, path } = await openScene()
    const draft = await stage.receive(chunksOf(bytes(20_000)))
    const [name = ''] = await readdir(join(path, 'drafts'))
    await rm(join(path, 'drafts', name))
    await expect(draft.publish()).rejects.toMatchObject({ code: 'UNAVAILABLE', outcome: 'rejected', retryable: true })
    expect(stage.reservedBytes).toBe(0)
    expect(await stage.isPoisoned()).toBe(false)
    await put(stage, bytes(20_000))
  })

  test('poisons when the directory itself is gone or was replaced (D9)', async () => {
    const { stage, path } = await openScene()
    const draft = await stage.receive(chunksOf(bytes(20_000)))
    await rename(path, `${path}-moved`)
    await mkdir(path)
    await expect(draft.publish()).rejects.toMatchObject(poisoned)
    await expect(stage.receive(chunksOf(bytes(20_000)))).rejects.toMatchObject(poisoned)
  })
})

describe('a disk that fails', () => {
  test('rejects for want of space or of open files, and goes on when they are back (D6, D11)', async () => {
    const scene = await openScene()
    const earlier = await put(scene.stage, bytes(30_000))
    const cases = [
      ['create', 'drafts', ['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE']],
      ['file.write', 'drafts', ['ENOSPC', 'EDQUOT', 'EFBIG']],
      ['file.sync', 'drafts', ['ENOSPC', 'EDQUOT']],
      ['file.close', 'drafts', ['ENOSPC']],
      ['rename', 'bodies', ['ENOSPC', 'EDQUOT']],
      ['syncDirectory', 'bodies', ['EMFILE']],
      ['link', 'drafts', ['ENOSPC', 'EDQUOT']],
    ] as const
    for (const [operation, part, codes] of cases) {
      for (const code of codes) {
        let broken = true
        const stage = again(
          scene,
          intercepted(nodeDisk, async (call, run) => {
            if (!broken || call.operation !== operation || !call.path.includes(part)) return run()
            if (operation === 'file.close') await run()
            throw systemError(code, operation)
          }),
        )
        const body = bytes(700_000)
        const attempt = async (): Promise<void> => {
          const draft = await stage.receive(inPieces(body, 100_000))
          await draft.publish()
          const linked = { file: earlier.file, size: 30_000, ...earlier.draft.digests }
          await (await stage.linkDraft(linked)).publish()
          draft.release()
        }
        const isBusy = code === 'EMFILE' || code === 'ENFILE'
        await expect(attempt(), `${code} at ${operation}`).rejects.toMatchObject({
          code: isBusy ? 'UNAVAILABLE' : 'NO_SPACE',
          outcome: 'rejected',
          retryable: code !== 'EFBIG',
        })
        expect(await readdir(join(scene.path, 'drafts'))).toEqual([])
        expect(await stage.isPoisoned()).toBe(false)
        broken = false
        await attempt()
      }
    }
    expect(await readdir(scene.path)).not.toContain('poisoned')
  })

  test('ends the opening at any other failure: nothing is tried again, nothing is accepted any more (D2, D3, D8, D14, I2, I4)', async () => {
    const cases = [
      ['create', 'drafts', 'EIO'],
      ['create', 'drafts', 'EROFS'],
      ['create', 'drafts', 'EACCES'],
      ['file.write', 'drafts', 'EIO'],
      ['file.sync', 'drafts', 'EIO'],
      ['file.close', 'drafts', 'EIO'],
      ['rename', 'bodies', 'EIO'],
      ['rename', 'bodies', 'EXDEV'],
      ['syncDirectory', 'bodies', 'EIO'],
      ['syncDirectory', 'bodies', 'ENOSPC'],
    ] as const
    for (const [operation, part, code] of cases) {
      const scene = await openScene()
      const kept = bytes(50_000)
      const { file, draft: keptDraft } = await put(scene.stage, kept)
      let failures = 0
      const { calls, disk } = recorded(
        intercepted(nodeDisk, async (call, run) => {
          if (call.operation !== operation || !call.path.includes(part)) return run()
          failures++
          if (operation === 'file.close') await run()
          throw systemError(code, operation)
        }),
      )
      const stage = again(scene, disk)
      const earlier = await scene.stage.receive(chunksOf(bytes(20_000)))
      const attempt = async (): Promise<void> => {
        const draft = await stage.receive(chunksOf(bytes(20_000)))
        await draft.publish()
      }
      await expect(attempt(), `${code} at ${operation}`).rejects.toMatchObject({ ...poisoned, cause: { code } })
      expect(failures).toBe(1)
      expect(await stage.isPoisoned()).toBe(true)
      expect(await readFile(join(scene.path, 'poisoned'), 'utf8')).toContain(code)

      calls.length = 0
      await expect(attempt()).rejects.toMatchObject(poisoned)
      await expect(stage.receive(chunksOf(Buffer.from('small')))).rejects.toMatchObject(poisoned)
      const linked = { file, size: kept.length, ...keptDraft.digests }
      await expect(stage.linkDraft(linked)).rejects.toMatchObject(poisoned)
      expect(calls).toEqual([])
      expect(stage.reservedBytes).toBe(0)

      // Other processes see the mark, also for what they had received before.
      await expect(earlier.publish()).rejects.toMatchObject(poisoned)
      await expect(scene.stage.receive(chunksOf(bytes(20_000)))).rejects.toMatchObject(poisoned)
      expect(await scene.stage.isPoisoned()).toBe(true)

      // What was published before is whole, and can still be read.
      const source = stage.source({ in: 'file', file }, kept.length, keptDraft.digests)
      expect((await collected(source.open(0, kept.length))).equals(kept)).toBe(true)
    }
  })

  test('rejects all who share the sync that failed, and those who wait for the next without another (D3, I4)', async () => {
    const scene = await openScene()
    let syncs = 0
    const held = Promise.withResolvers<undefined>()
    const stage = again(
      scene,
      intercepted(nodeDisk, async (call, run) => {
        if (call.operation !== 'syncDirectory' || !call.path.endsWith('bodies')) return run()
        syncs++
        await held.promise
        throw systemError('EIO', 'fsync')
      }),
    )
    const drafts = await Promise.all(Array.from({ length: 10 }, () => stage.receive(chunksOf(bytes(20_000)))))
    const first = (drafts.shift() ?? expect.fail()).publish()
    first.catch(() => {})
    while (syncs === 0) await new Promise(resolve => setTimeout(resolve, 1))
    const others = drafts.map(draft => draft.publish())
    const outcomes = Promise.allSettled([first, ...others])
    while ((await readdir(join(scene.path, 'bodies'))).length < 10) await new Promise(resolve => setTimeout(resolve, 1))
    held.resolve(undefined)
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: poisoned })
    expect(syncs).toBe(1)
    expect(stage.reservedBytes).toBe(0)
  })

  test('does not publish what was received before another file failed (I4)', async () => {
    const scene = await openScene()
    const drafts = await Promise.all([1, 2].map(() => scene.stage.receive(chunksOf(bytes(20_000)))))
    const small = await scene.stage.receive(chunksOf(Buffer.from('small')))
    await scene.stage.poison(new Error('the journal could not be synced'))
    for (const draft of [...drafts, small]) await expect(draft.publish()).rejects.toMatchObject(poisoned)
    expect(await readdir(join(scene.path, 'bodies'))).toEqual([])
    expect(scene.stage.reservedBytes).toBe(0)
  })

  test('is seen by a look that begins after the mark was put, also while an earlier look is still under way (I4)', async () => {
    const scene = await openScene()
    const held = Promise.withResolvers<undefined>()
    let looks = 0
    const stage = again(
      scene,
      intercepted(nodeDisk, async (call, run) => {
        const found = await run()
        if (call.path.endsWith('poisoned') && ++looks === 1) await held.promise
        return found
      }),
    )
    const early = stage.receive(chunksOf(bytes(20_000)), { expected: { size: 20_000 } })
    while (looks === 0) await new Promise(resolve => setTimeout(resolve, 1))
    await writeFile(join(scene.path, 'poisoned'), 'by another process')
    const late = Array.from({ length: 5 }, () => stage.receive(bytes(20_000)))
    const outcomes = Promise.allSettled(late)
    held.resolve(undefined)
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: poisoned })
    expect(looks).toBe(2)
    await (await early).discard()
  })

  test('is whole for a new opening once the mark was cleared, and stays refused in the old one', async () => {
    const scene = await openScene()
    const { file, draft } = await put(scene.stage, bytes(50_000))
    await scene.stage.poison(systemError('EIO', 'fsync'))
    const next = await openScene({ path: scene.path })
    expect(next.directory.identity).toBe(scene.directory.identity)
    await expect(next.stage.receive(chunksOf(bytes(20_000)))).rejects.toMatchObject(poisoned)
    const bad = []
    for await (const found of next.stage.verifyBodies([{ file, size: 50_000, ...draft.digests }])) bad.push(found)
    expect(bad).toEqual([])
    await next.stage.refsync()
    await next.stage.clearPoison()
    await put(next.stage, bytes(20_000))
    expect(await next.stage.isPoisoned()).toBe(false)
    expect(await scene.stage.isPoisoned()).toBe(true)
  })

  test('poisons this process even where no mark can be put', async () => {
    const scene = await openScene()
    const stage = again(scene, failingAt('create', '', 'EROFS'))
    await expect(stage.receive(chunksOf(bytes(20_000)))).rejects.toMatchObject(poisoned)
    await expect(stage.receive(chunksOf(Buffer.from('small')))).rejects.toMatchObject(poisoned)
    expect(await readdir(scene.path)).not.toContain('poisoned')
  })

  test('acknowledges nothing that is not there, whichever call fails, once or from then on (D2, D3, D6, I2, I3, I31)', {
    timeout: 120_000,
  }, async () => {
    const scene = await openScene()
    const kept = bytes(40_000)
    const original = await put(scene.stage, kept)
    for (const code of ['EIO', 'ENOSPC', 'EMFILE']) {
      for (const forEver of [false, true]) {
        for (let at = 1, failed: Call | undefined = { operation: 'stat', path: '' }; failed !== undefined; at++) {
          await rm(join(scene.path, 'poisoned'), { force: true })
          const faults = failing(nodeDisk, at, code, forEver)
          const stage = again(scene, faults.disk)
          const acknowledged: { file: string; body: Buffer }[] = []
          const rejected: unknown[] = []
          const steps = [
            async () => {
              const body = bytes(1_200_000)
              acknowledged.push({ ...(await put(stage, body)), body })
            },
            async () => {
              const draft = await stage.linkDraft({ file: original.file, size: 40_000, ...original.draft.digests })
              const published = await draft.publish()
              draft.release()
              if (published.in === 'file') acknowledged.push({ file: published.file, body: kept })
            },
            async () => {
              await using draft = await stage.receive(chunksOf(Buffer.from('small')))
              await draft.publish()
            },
          ]
          for (const step of steps) await step().catch((error: unknown) => rejected.push(error))
          failed = faults.failed
          const where = `${code} ${forEver ? 'from' : 'at'} call ${at}: ${faults.calls[at - 1]}`
          for (const error of rejected) {
            expect(error, where).toMatchObject({ name: 'HoldfastError', outcome: 'rejected' })
            expect(['CORRUPT', 'NO_SPACE', 'UNAVAILABLE'], where).toContain((error as { code: string }).code)
          }
          for (const { file, body } of acknowledged) {
            expect((await readFile(join(scene.path, 'bodies', file))).equals(body), where).toBe(true)
          }
          expect(stage.reservedBytes, where).toBe(0)
          if (failed === undefined) expect(rejected, where).toEqual([])
          else if (failed.operation !== 'unlink') expect(rejected.length, where).toBeGreaterThan(0)
          if (!forEver && failed?.operation !== 'unlink') {
            expect(await readdir(join(scene.path, 'drafts')), where).toEqual([])
          }
          await scene.stage.sweep.all()
        }
      }
    }
  })
})

describe('a draft made from a body', () => {
  test('is a second name of the same file, which outlives the first (copy)', async () => {
    const { stage, path } = await openScene()
    const body = bytes(100_000)
    const { file, draft } = await put(stage, body)
    const copy = await stage.linkDraft({ file, size: body.length, ...draft.digests })
    expect(copy).toMatchObject({ size: body.length, digests: { crc32c: draft.digests.crc32c, md5: draft.digests.md5 } })
    expect(stage.reservedBytes).toBe(body.length)
    const published = await copy.publish()
    const name = published.in === 'file' ? published.file : ''
    expect(name).not.toBe(file)
    expect((await stat(join(path, 'bodies', name))).nlink).toBe(2)
    await stage.unlinkBody(file)
    expect((await readFile(join(path, 'bodies', name))).equals(body)).toBe(true)
    copy.release()
    expect(stage.reservedBytes).toBe(0)
  })

  test('is a copy where no link can be made (D14)', async () => {
    const scene = await openScene()
    const body = bytes(100_000)
    const { file, draft } = await put(scene.stage, body)
    for (const code of ['EMLINK', 'EPERM', 'ENOTSUP', 'EXDEV']) {
      const stage = again(scene, failingAt('link', 'drafts', code))
      const copy = await stage.linkDraft({ file, size: body.length, ...draft.digests })
      const published = await copy.publish()
      const name = published.in === 'file' ? published.file : ''
      expect((await stat(join(scene.path, 'bodies', name))).nlink).toBe(1)
      expect((await readFile(join(scene.path, 'bodies', name))).equals(body)).toBe(true)
      copy.release()
      expect(stage.reservedBytes).toBe(0)
      expect(await stage.isPoisoned()).toBe(false)
    }
    expect(await readdir(join(scene.path, 'drafts'))).toEqual([])
  })

  test('is refused when the body is gone or has another length (I7)', async () => {
    const { stage, path } = await openScene()
    const { file, draft } = await put(stage, bytes(100_000))
    const there = { file, size: 100_000, ...draft.digests }
    await writeFile(join(path, 'bodies', file), bytes(99_999))
    await expect(stage.linkDraft(there)).rejects.toMatchObject({ code: 'CORRUPT', field: 'body', rule: 'size' })
    await stage.unlinkBody(file)
    const missing = { code: 'CORRUPT', field: 'body', rule: 'missing', reason: 'LOCAL_CORRUPT' }
    await expect(stage.linkDraft(there)).rejects.toMatchObject(missing)
    await expect(stage.linkDraft({ ...there, file: '../holdfast.json' })).rejects.toMatchObject({ code: 'INVALID' })
    expect(stage.reservedBytes).toBe(0)
    expect(await stage.isPoisoned()).toBe(false)
    expect(await readdir(join(path, 'drafts'))).toEqual([])
  })

  test('takes its part of the budget', async () => {
    const scene = await openScene()
    const { file, draft } = await put(scene.stage, bytes(100_000))
    const stage = again(scene, nodeDisk, { maxStageBytes: 99_999 })
    const copy = stage.linkDraft({ file, size: 100_000, ...draft.digests })
    await expect(copy).rejects.toMatchObject({ code: 'NO_SPACE' })
    expect(stage.reservedBytes).toBe(0)
  })
})

test('names planted in drafts/ are never written to: a draft is a new file (I43)', async () => {
  const scene = await openScene()
  await writeFile(join(scene.path, 'victim'), 'kept')
  let planted = ''
  const stage = again(
    scene,
    intercepted(nodeDisk, async (call, run) => {
      if (call.operation === 'create' && call.path.includes('drafts')) {
        planted = call.path
        await link(join(scene.path, 'victim'), call.path)
      }
      return run()
    }),
  )
  await expect(stage.receive(chunksOf(bytes(20_000)))).rejects.toMatchObject(poisoned)
  expect(planted).not.toBe('')
  expect(await readFile(join(scene.path, 'victim'), 'utf8')).toBe('kept')
})
