import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Disk } from '../../src/core/ports.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { bytes, chunksOf, dice, inPieces, observed } from './bodies.ts'
import { intercepted, systemError } from './disks.ts'
import { again, openScene, scratch } from './scene.ts'

const drafts = (path: string): Promise<string[]> => readdir(join(path, 'drafts'))

describe('receiving a body', () => {
  test('keeps up to 16 KiB in memory and anything longer in a file, byte for byte', async () => {
    const { stage, path } = await openScene()
    const sizes = [
      0, 1, 16_383, 16_384, 16_385, 65_536, 65_537, 262_143, 262_144, 262_145, 524_288, 524_289, 1_048_576, 3_000_001,
    ]
    for (const size of sizes) {
      for (const known of [true, false]) {
        for (const piece of [1_048_576, 10_007, ...(size < 70_000 ? [13] : [])]) {
          const body = bytes(size)
          const draft = await stage.receive(inPieces(body, piece), { expected: { size: known ? size : undefined } })
          expect(draft.size).toBe(size)
          expect(draft.digests).toEqual({ ...digestsOf(body), sha256: undefined })
          const published = await draft.publish()
          const stored = published.in === 'row' ? published.bytes : await readFile(join(path, 'bodies', published.file))
          expect(published.in).toBe(size <= 16_384 ? 'row' : 'file')
          expect(body.equals(stored), `${size} in pieces of ${piece}`).toBe(true)
          await draft.discard()
        }
      }
    }
    expect(await drafts(path)).toEqual([])
    expect(await readdir(join(path, 'bodies'))).toEqual([])
    expect(stage.reservedBytes).toBe(0)
  })

  test('gives small bodies memory of their own, not a view of something larger', async () => {
    const { stage } = await openScene()
    for (const size of [0, 5, 16_384]) {
      for (const expected of [{}, { size }]) {
        const published = await (await stage.receive(chunksOf(bytes(size)), { expected })).publish()
        expect(published.in === 'row' && published.bytes.buffer.byteLength).toBe(size)
      }
    }
  })

  test('stores what it digested, whatever the producer does with its buffer afterwards', async () => {
    const { stage, path } = await openScene()
    const body = bytes(2_000_000)
    async function* reusing(): AsyncGenerator<Uint8Array> {
      const buffer = Buffer.alloc(100_000)
      for (let at = 0; at < body.length; at += buffer.length) {
        body.copy(buffer, 0, at)
        yield buffer
        buffer.fill(0)
      }
    }
    const draft = await stage.receive(reusing())
    const published = await draft.publish()
    expect(draft.digests).toMatchObject(digestsOf(body))
    expect(published.in === 'file' && (await readFile(join(path, 'bodies', published.file))).equals(body)).toBe(true)
  })

  test('takes bytes that are there as a whole as they were when it digested them, up to 1 MiB, and refuses them where their size was announced otherwise (I2)', async () => {
    const scene = await openScene()
    for (const size of [16_385, 65_536, 65_537, 262_144, 262_145, 1_048_576]) {
      const body = bytes(size)
      const expected = { ...digestsOf(body), size, sha256: createHash('sha256').update(body).digest('hex') }
      const given = Buffer.from(body)
      const stage = again(
        scene,
        intercepted(nodeDisk, async (call, run) => {
          if (call.operation === 'file.write') given.fill(0)
          return run()
        }),
      )
      const draft = await stage.receive(given, { expected })
      expect(draft).toMatchObject({ size, digests: digestsOf(body) })
      const published = await draft.publish()
      expect(
        published.in === 'file' && (await readFile(join(scene.path, 'bodies', published.file))).equals(body),
        `${size}`,
      ).toBe(true)
      draft.release()
    }
    for (const size of [10, 100_000]) {
      for (const expected of [{ size: size + 1 }, { size: size - 1 }, { md5: digestsOf(bytes(3)).md5 }]) {
        await expect(scene.stage.receive(bytes(size), { expected })).rejects.toMatchObject({
          code: 'CHECKSUM',
          field: 'size' in expected ? 'size' : 'md5',
        })
      }
    }
    const stopped = new AbortController()
    const aborting = again(
      scene,
      intercepted(nodeDisk, async (call, run) => {
        if (call.operation === 'create') stopped.abort(new Error('enough'))
        return run()
      }),
    )
    await expect(aborting.receive(bytes(100_000), { signal: stopped.signal })).rejects.toThrow('enough')
    expect(await drafts(scene.path)).toEqual([])
    expect(scene.stage.reservedBytes).toBe(0)
  })

  test('gives no page to another body while the disk still writes it, however a put ends (I2)', async () => {
    const scene = await openScene()
    const seed = Date.now()
    const random = dice(seed)
    const spoilt: string[] = []
    const slow: Disk = {
      ...nodeDisk,
      async create(path) {
        const file = await nodeDisk.create(path)
        return {
          ...file,
          async write(written, position) {
            const before = digestsOf(written).md5
            await new Promise(resolve => setTimeout(resolve, random() * 5))
            if (digestsOf(written).md5 !== before) spoilt.push(path)
            if (random() < 0.1) throw systemError('ENOSPC', 'write')
            await file.write(written, position)
          },
        }
      },
    }
    const stage = again(scene, slow)
    const one = async (i: number): Promise<void> => {
      const body = bytes([20_000, 100_000, 300_000, 1_000_000][i % 4] as number)
      const abort = new AbortController()
      async function* pieces(): AsyncGenerator<Uint8Array> {
        for (let at = 0; at < body.length; at += 90_000) {
          yield body.subarray(at, at + 90_000)
          if (random() < 0.05) throw new Error('the producer failed')
          if (random() < 0.05) abort.abort(new Error('enough'))
        }
      }
      const expected =
        random() < 0.2 ? { md5: digestsOf(bytes(1)).md5 } : { size: random() < 0.5 ? body.length : undefined }
      const draft = await stage
        .receive(random() < 0.3 ? body : pieces(), { expected, signal: abort.signal })
        .catch(() => undefined)
      if (draft === undefined) return
      const published = await draft.publish()
      const stored = published.in === 'file' ? await readFile(join(scene.path, 'bodies', published.file)) : undefined
      expect(stored?.equals(body), `seed ${seed}`).toBe(true)
      await draft.discard()
    }
    for (let round = 0; round < 4; round++) await Promise.all(Array.from({ length: 40 }, (_, i) => one(i)))
    expect(spoilt, `seed ${seed}`).toEqual([])
    expect(await drafts(scene.path)).toEqual([])
    expect(stage.reservedBytes).toBe(0)
  })

  test.for([
    ['a stream', 'made smaller'],
    ['a stream', 'handed elsewhere'],
    ['bytes', 'made smaller'],
    ['bytes', 'handed elsewhere'],
  ] as const)(
    'refuses %s whose memory is %s while it is taken in: nothing shorter than its size is promised (I2)',
    async ([from, how]) => {
      const scene = await openScene()
      const size = 1_000_000
      const memory = new ArrayBuffer(size, { maxByteLength: size })
      const body = new Uint8Array(memory, 0, size)
      body.set(bytes(size))
      const stage = again(
        scene,
        intercepted(nodeDisk, async (call, run) => {
          if (call.operation === (from === 'bytes' ? 'create' : 'file.write') && body.byteLength > 0) {
            if (how === 'made smaller') memory.resize(100)
            else structuredClone(memory, { transfer: [memory] })
          }
          return run()
        }),
      )
      const receiving = stage.receive(from === 'bytes' ? body : chunksOf(body), { expected: { size } })
      await expect(receiving).rejects.toMatchObject({ code: 'INVALID', field: 'body', rule: 'source' })
      expect(await drafts(scene.path)).toEqual([])
      expect(stage.reservedBytes).toBe(0)
    },
  )

  test('stores a small body as it came, also where one chunk is all of it and is written over afterwards (I2)', async () => {
    const { stage } = await openScene()
    const body = bytes(10_000)
    const buffer = Buffer.from(body)
    async function* reusing(): AsyncGenerator<Uint8Array> {
      yield buffer
      buffer.fill(0)
    }
    const draft = await stage.receive(reusing(), { expected: { size: body.length } })
    const published = await draft.publish()
    expect(draft.digests).toMatchObject(digestsOf(body))
    expect(published.in === 'row' && body.equals(published.bytes)).toBe(true)
  })

  test('writes files 0600 under names of 32 hex digits (I43)', async () => {
    const before = process.umask(0)
    try {
      const { stage, path } = await openScene()
      await (await stage.receive(chunksOf(bytes(20_000)))).publish()
      const [name = ''] = await readdir(join(path, 'bodies'))
      expect(name).toMatch(/^[0-9a-f]{32}$/)
      expect((await stat(join(path, 'bodies', name))).mode & 0o7777).toBe(0o600)
    } finally {
      process.umask(before)
    }
  })

  test('refuses at the first byte too many, and at the end when there were too few (P15)', async () => {
    const { stage, path } = await openScene()
    for (const size of [10, 100_000]) {
      const { seen, body } = observed(async index => (index < 50 ? bytes(size / 5) : undefined))
      const long = stage.receive(body, { expected: { size } })
      await expect(long).rejects.toMatchObject({ code: 'CHECKSUM', field: 'size', outcome: 'rejected' })
      expect(seen.pulled).toBe(6)
      expect(seen.letGo).toBe(true)
      const short = stage.receive(chunksOf(bytes(size - 1)), { expected: { size } })
      await expect(short).rejects.toMatchObject({ code: 'CHECKSUM', field: 'size' })
    }
    await expect(stage.receive(chunksOf(bytes(1)), { expected: { size: 0 } })).rejects.toMatchObject({ field: 'size' })
    expect(await drafts(path)).toEqual([])
    expect(stage.reservedBytes).toBe(0)
  })

  test('compares the digests that the caller expects, before anything is synced', async () => {
    const syncs: string[] = []
    const { stage, path } = await openScene()
    const watched = again(
      { stage, path, directory: (await openScene({ path })).directory },
      intercepted(nodeDisk, async (call, run) => {
        if (call.operation === 'file.sync') syncs.push(call.path)
        return run()
      }),
    )
    for (const body of [bytes(100), bytes(100_000)]) {
      const sha256 = createHash('sha256').update(body).digest('hex')
      const right = { ...digestsOf(body), sha256, size: body.length }
      const draft = await watched.receive(inPieces(body, 7_777), { expected: right })
      expect(draft.digests).toEqual({ crc32c: right.crc32c, md5: right.md5, sha256 })
      await draft.discard()
      syncs.length = 0
      for (const field of ['crc32c', 'md5', 'sha256'] as const) {
        const expected = { ...right, [field]: right[field].replace(/^./, digit => (digit === '0' ? '1' : '0')) }
        const wrong = watched.receive(inPieces(body, 7_777), { expected })
        await expect(wrong).rejects.toMatchObject({ code: 'CHECKSUM', field, outcome: 'rejected' })
      }
      expect(syncs).toEqual([])
    }
    expect(await drafts(path)).toEqual([])
    expect(watched.reservedBytes).toBe(0)
  })

  test('passes on what the body throws, and leaves nothing behind (P15)', async () => {
    const { stage, path } = await openScene()
    for (const at of [0, 1, 30]) {
      const failure = systemError('EIO', "of the caller's own disk")
      const { body } = observed(async index => (index < at ? bytes(60_000) : Promise.reject(failure)))
      await expect(stage.receive(body)).rejects.toBe(failure)
    }
    expect(await drafts(path)).toEqual([])
    expect(stage.reservedBytes).toBe(0)
    expect(await stage.isPoisoned()).toBe(false)
  })

  test('ends at once when the signal aborts while a chunk is waited for, and lets go of the body (P16)', async () => {
    const { stage, path } = await openScene()
    for (const before of [0, 1, 40]) {
      const abort = new AbortController()
      const waiting = Promise.withResolvers<undefined>()
      const { seen, body } = observed(async index => {
        if (index < before) return bytes(50_000)
        waiting.resolve(undefined)
        return new Promise(() => {})
      })
      const receiving = stage.receive(body, { signal: abort.signal })
      await waiting.promise
      const reason = new Error('no longer wanted')
      abort.abort(reason)
      await expect(receiving).rejects.toBe(reason)
      expect(seen.letGo).toBe(true)
    }
    expect(await drafts(path)).toEqual([])
    expect(stage.reservedBytes).toBe(0)
  })

  test('does not touch the body when the signal has aborted already, and honours it until the end', async () => {
    const { stage, path } = await openScene()
    const aborted = AbortSignal.abort(new Error('never wanted'))
    const { seen, body } = observed(async () => undefined)
    await expect(stage.receive(body, { signal: aborted })).rejects.toThrow('never wanted')
    expect(seen.begun).toBe(false)

    const abort = new AbortController()
    const late = again(
      await openScene({ path }),
      intercepted(nodeDisk, async (call, run) => {
        if (call.operation === 'file.sync') abort.abort(new Error('while it was synced'))
        return run()
      }),
    )
    await expect(late.receive(chunksOf(bytes(50_000)), { signal: abort.signal })).rejects.toThrow('while it was synced')
    expect(await drafts(path)).toEqual([])
    expect(late.reservedBytes).toBe(0)
  })

  test('leaves no listener on a signal that outlives it', async () => {
    const { stage } = await openScene()
    const { signal } = new AbortController()
    let listeners = 0
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...call: Parameters<typeof add>) => {
      listeners++
      add(...call)
    }
    signal.removeEventListener = (...call: Parameters<typeof remove>) => {
      listeners--
      remove(...call)
    }
    await (await stage.receive(inPieces(bytes(300_000), 1000), { signal })).discard()
    await expect(stage.receive(chunksOf(bytes(5)), { signal, expected: { size: 4 } })).rejects.toThrow()
    expect(listeners).toBe(0)
  })

  test('ends a body that is still waited for when a write fails meanwhile', async () => {
    const { path } = await openScene()
    const { directory, stage } = await openScene({ path })
    const failing = again(
      { path, directory, stage },
      intercepted(nodeDisk, async (call, run) => {
        if (call.operation === 'file.write' && call.path.includes('drafts')) throw systemError('ENOSPC', 'write')
        return run()
      }),
    )
    const { seen, body } = observed(index => (index < 12 ? Promise.resolve(bytes(100_000)) : new Promise(() => {})))
    await expect(failing.receive(body)).rejects.toMatchObject({ code: 'NO_SPACE', outcome: 'rejected' })
    expect(seen.letGo).toBe(true)
    expect(await drafts(path)).toEqual([])
    expect(failing.reservedBytes).toBe(0)
  })
})

describe('the budget', () => {
  test('refuses a body of known size that does not fit before it is touched (I31)', async () => {
    let staged = 0
    const { stage } = await openScene({ maxStageBytes: 100_000, stagedBytes: () => staged })
    const refused = async (size: number | undefined): Promise<unknown> => {
      const { seen, body } = observed(async () => undefined)
      const error = await stage.receive(body, { expected: { size } }).catch((error: unknown) => error)
      expect(seen.begun).toBe(false)
      return error
    }
    expect(await refused(100_001)).toMatchObject({ code: 'NO_SPACE', outcome: 'rejected', retryable: false })
    staged = 99_000
    const error = await refused(1001)
    expect(error).toMatchObject({ code: 'NO_SPACE', outcome: 'rejected', retryable: true })
    expect((error as Error).message).toBe('the stage holds 99000 of 100000 bytes; drain, or raise maxStageBytes')
    staged = 100_000
    expect(await refused(undefined)).toMatchObject({ code: 'NO_SPACE' })
    const empty = await stage.receive(chunksOf(), { expected: { size: 0 } })
    expect(empty.size).toBe(0)
    expect(stage.reservedBytes).toBe(0)
  })

  test('counts puts in flight, until each is released, discarded or left', async () => {
    const { stage } = await openScene({ maxStageBytes: 100_000 })
    const first = await stage.receive(chunksOf(bytes(60_000)))
    expect(stage.reservedBytes).toBe(60_000)
    const second = stage.receive(chunksOf(bytes(50_000)), { expected: { size: 50_000 } })
    await expect(second).rejects.toMatchObject({ code: 'NO_SPACE' })
    await first.publish()
    expect(stage.reservedBytes).toBe(60_000)
    first.release()
    first.release()
    expect(stage.reservedBytes).toBe(0)
    {
      await using left = await stage.receive(chunksOf(bytes(50_000)))
      expect(left.size).toBe(50_000)
      expect(stage.reservedBytes).toBe(50_000)
    }
    expect(stage.reservedBytes).toBe(0)
  })

  test('lets a body of unknown size grow while there is room, and ends it at the first byte without', async () => {
    const { stage, path } = await openScene({ maxStageBytes: 2_500_000 })
    const { seen, body } = observed(async index => (index < 26 ? bytes(100_000) : undefined))
    await expect(stage.receive(body)).rejects.toMatchObject({ code: 'NO_SPACE', outcome: 'rejected' })
    expect(seen).toMatchObject({ letGo: true, pulled: 26 })
    const exact = await stage.receive(inPieces(bytes(2_500_000), 99_999))
    expect(stage.reservedBytes).toBe(2_500_000)
    await exact.discard()
    expect(stage.reservedBytes).toBe(0)
    expect(await drafts(path)).toEqual([])
  })

  test('looks at the free space of the disk before it reads a large body of known size', async () => {
    const { path } = await openScene()
    const small = again(await openScene({ path }), {
      ...nodeDisk,
      fileSystem: async at => ({ ...(await nodeDisk.fileSystem(at)), freeBytes: 5_000_000 }),
    })
    const { seen, body } = observed(async () => undefined)
    const refused = small.receive(body, { expected: { size: 5_000_001 } })
    await expect(refused).rejects.toMatchObject({ code: 'NO_SPACE', outcome: 'rejected' })
    expect(seen.begun).toBe(false)
    expect(small.reservedBytes).toBe(0)
  })

  test('never leaks, whatever goes wrong and when', async () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
    console.log(`budget seed ${seed}`)
    const random = dice(seed)
    const path = join(await scratch(), 'stage')
    const scene = await openScene({ path })
    const codes = ['ENOSPC', 'EDQUOT', 'EFBIG', 'EMFILE', 'ENFILE']
    const stage = again(
      scene,
      intercepted(nodeDisk, async (call, run) => {
        // Of closing, unlinking and syncing names nothing is hidden: those would poison, or leave drafts for the sweep.
        const mayFail = !['file.close', 'unlink', 'syncDirectory', 'stat'].includes(call.operation)
        if (mayFail && random() < 0.04)
          throw systemError(codes[Math.floor(random() * codes.length)] ?? '', call.operation)
        return run()
      }),
      { maxStageBytes: 3_000_000 },
    )
    const outcomes: Record<string, number> = {}
    const one = async (): Promise<void> => {
      const size = Math.floor(random() ** 3 * 1_500_000)
      const abort = new AbortController()
      const abortAt = random() < 0.1 ? Math.floor(random() * 5) : -1
      const failAt = random() < 0.1 ? Math.floor(random() * 5) : -1
      const lie = random() < 0.1 ? Math.floor(random() * 3) - 1 : 0
      let index = 0
      async function* body(): AsyncGenerator<Uint8Array> {
        for (let left = size; left > 0; left -= 70_000, index++) {
          if (index === abortAt) abort.abort(new Error('aborted'))
          if (index === failAt) throw new Error('source')
          yield Buffer.alloc(Math.min(left, 70_000), index)
        }
      }
      const expected = random() < 0.5 ? { size: Math.max(0, size + lie) } : {}
      try {
        const draft = await stage.receive(body(), { expected, signal: abort.signal })
        const way = random()
        if (way < 0.2) await draft.discard()
        else {
          await draft.publish()
          if (way < 0.6) draft.release()
          else if (way < 0.8) await draft.discard()
          else await draft[Symbol.asyncDispose]()
        }
        outcomes['done'] = (outcomes['done'] ?? 0) + 1
      } catch (error) {
        const name = error instanceof HoldfastError ? error.code : (error as Error).message
        outcomes[name] = (outcomes[name] ?? 0) + 1
      }
    }
    for (let round = 0; round < 40; round++) await Promise.all(Array.from({ length: 8 }, one))
    expect(stage.reservedBytes, `seed ${seed}`).toBe(0)
    expect(await drafts(path), `seed ${seed}`).toEqual([])
    expect(await stage.isPoisoned()).toBe(false)
    expect(Object.keys(outcomes).sort()).toEqual(['CHECKSUM', 'NO_SPACE', 'UNAVAILABLE', 'aborted', 'done', 'source'])
  })
})

describe('a checksum that the caller asks for', () => {
  const value = {
    CRC32: 'y/Q5Jg==',
    CRC32C: '4waSgw==',
    CRC64NVME: 'rosUhgp5mIg=',
    SHA1: '98O8HYCOBHMq32eZZczDTKeuNEE=',
    SHA256: 'FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=',
  } as const
  const algorithms = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const

  test.each(algorithms)('%s is in the digests, and is compared where a value is given', async algorithm => {
    const { stage, path } = await openScene()
    for (const repeat of [1, 100_000]) {
      const body = Buffer.from('123456789'.repeat(repeat))
      const draft = await stage.receive(inPieces(body, 7_001), { checksum: { algorithm } })
      const found = draft.digests.checksum
      expect(found?.algorithm).toBe(algorithm)
      if (repeat === 1) expect(found?.value).toBe(value[algorithm])
      await draft.discard()
      const right = await stage.receive(inPieces(body, 7_001), { checksum: found })
      expect(right.digests.checksum).toEqual(found)
      await right.discard()
      const wrong = {
        algorithm,
        value: Buffer.alloc(Buffer.from(value[algorithm], 'base64').length).toString('base64'),
      }
      await expect(stage.receive(inPieces(body, 7_001), { checksum: wrong })).rejects.toMatchObject({
        code: 'CHECKSUM',
        field: 'checksum',
        rule: 'mismatch',
        outcome: 'rejected',
      })
    }
    expect(await drafts(path)).toEqual([])
    expect(stage.reservedBytes).toBe(0)
  })
})
