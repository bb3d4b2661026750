import { readFile, rename, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Digests, crc32c, digestsOf } from '../../src/core/digest.ts'
import type { Source } from '../../src/core/source.ts'
import { joinCrc32c } from '../../src/stage/crc.ts'
import type { LinkedBody } from '../../src/stage/drafts.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import type { Stage } from '../../src/stage/stage.ts'
import { bytes, collected, dice } from './bodies.ts'
import { intercepted, systemError } from './disks.ts'
import { again, openScene, put, type Scene } from './scene.ts'

const corrupt = { name: 'HoldfastError', code: 'CORRUPT', field: 'body', reason: 'LOCAL_CORRUPT', retryable: false }

interface Stored extends Scene {
  readonly body: Buffer
  readonly file: string
  readonly digests: Digests
  readonly at: string
}

async function stored(size: number): Promise<Stored> {
  const scene = await openScene()
  const body = bytes(size)
  const { file, draft } = await put(scene.stage, body)
  return { ...scene, body, file, digests: draft.digests, at: join(scene.path, 'bodies', file) }
}

function sourceOf({ stage, file, body, digests }: Stored, other: Stage = stage): Source {
  return other.source({ in: 'file', file }, body.length, digests)
}

/** What a reader got before the reading failed. */
async function readUntilFailure(
  source: Source,
  start: number,
  end: number,
): Promise<{ bytes: number; error: unknown }> {
  let count = 0
  try {
    for await (const chunk of source.open(start, end)) count += chunk.byteLength
  } catch (error) {
    return { bytes: count, error }
  }
  return { bytes: count, error: undefined }
}

/** Counts open files. */
function counting(): { readonly disk: ReturnType<typeof intercepted>; open: () => number; reads: () => number } {
  let open = 0
  let reads = 0
  return {
    open: () => open,
    reads: () => reads,
    disk: intercepted(nodeDisk, async (call, run) => {
      if (call.operation === 'file.read') reads++
      const done = await run()
      if (call.operation === 'read') open++
      if (call.operation === 'file.close') open--
      return done
    }),
  }
}

describe('a source', () => {
  test('gives any part of the body, as often as asked, each reading for itself', async () => {
    const scene = await stored(1_000_000)
    const source = sourceOf(scene)
    expect(source).toMatchObject({ size: 1_000_000, ...digestsOf(scene.body) })
    const parts = [
      [0, 1_000_000],
      [0, 0],
      [5, 5],
      [0, 1],
      [999_999, 1_000_000],
      [262_143, 262_145],
      [1, 786_433],
      [1_000_000, 1_000_000],
    ] as const
    const read = await Promise.all(parts.map(([start, end]) => collected(source.open(start, end))))
    for (const [index, [start, end]] of parts.entries()) {
      expect(read[index]?.equals(scene.body.subarray(start, end)), `${start}-${end}`).toBe(true)
    }
  })

  test('gives chunks that stay as they are while later ones are read', async () => {
    const scene = await stored(2_000_000)
    const chunks: Uint8Array[] = []
    for await (const chunk of sourceOf(scene).open(0, 2_000_000)) chunks.push(chunk)
    expect(chunks.length).toBeGreaterThan(4)
    expect(Buffer.concat(chunks).equals(scene.body)).toBe(true)
  })

  test('opens the file when it is read and closes it when the loop ends, is left, or fails', async () => {
    const scene = await stored(1_500_000)
    const { disk, open, reads } = counting()
    const source = sourceOf(scene, again(scene, disk))
    const unread = source.open(0, 100)
    expect(open()).toBe(0)
    await collected(source.open(0, 1_500_000))
    expect(open()).toBe(0)
    for await (const _ of source.open(0, 1_500_000)) {
      expect(open()).toBe(1)
      break
    }
    expect(open()).toBe(0)
    await expect(
      (async () => {
        for await (const _ of source.open(0, 1_500_000)) throw new Error('the consumer had enough')
      })(),
    ).rejects.toThrow('enough')
    expect(open()).toBe(0)
    await unread[Symbol.asyncIterator]().return?.()
    expect(open()).toBe(0)
    expect(reads()).toBeGreaterThan(0)
  })

  test('reads one chunk ahead, and no further', async () => {
    const scene = await stored(2_000_000)
    const { disk, reads } = counting()
    const iterator = sourceOf(scene, again(scene, disk)).open(0, 2_000_000)[Symbol.asyncIterator]()
    await iterator.next()
    await new Promise(resolve => setTimeout(resolve, 30))
    expect(reads()).toBe(2)
    await iterator.next()
    await new Promise(resolve => setTimeout(resolve, 30))
    expect(reads()).toBe(3)
    await iterator.return?.()
  })

  test('closes no file that is still being read', async () => {
    const scene = await stored(2_000_000)
    let reading = 0
    const closedWhile: number[] = []
    const stage = again(
      scene,
      intercepted(nodeDisk, async (call, run) => {
        if (call.operation === 'file.close') closedWhile.push(reading)
        if (call.operation !== 'file.read') return run()
        reading++
        await new Promise(resolve => setTimeout(resolve, 10))
        return run().finally(() => reading--)
      }),
    )
    for await (const chunk of sourceOf(scene, stage).open(0, 2_000_000)) if (chunk.byteLength > 0) break
    expect(closedWhile).toEqual([0])
  })

  test('follows a body that is released while it is read from', async () => {
    const scene = await stored(300_000)
    const source = sourceOf(scene)
    const cached = scene.stage.source({ in: 'cache', file: scene.file }, 300_000, scene.digests)
    expect((await collected(cached.open(0, 300_000))).equals(scene.body)).toBe(true)
    await scene.stage.moveToCache(scene.file)
    expect((await collected(source.open(0, 300_000))).equals(scene.body)).toBe(true)
    expect((await collected(cached.open(0, 300_000))).equals(scene.body)).toBe(true)
    const reading = source.open(0, 300_000)[Symbol.asyncIterator]()
    const first = await reading.next()
    await scene.stage.evict(scene.file)
    const second = await reading.next()
    expect(Buffer.concat([first.value, second.value]).equals(scene.body)).toBe(true)
    expect((await reading.next()).done).toBe(true)
    await expect(collected(source.open(0, 300_000))).rejects.toMatchObject({ ...corrupt, rule: 'missing' })
  })

  test('says when too many files are open, and that the body is no worse for it', async () => {
    const scene = await stored(100_000)
    const stage = again(
      scene,
      intercepted(nodeDisk, async (call, run) => {
        if (call.operation === 'read') throw systemError('EMFILE', 'open')
        return run()
      }),
    )
    const refusal = { code: 'UNAVAILABLE', retryable: true }
    await expect(collected(sourceOf(scene, stage).open(0, 10))).rejects.toMatchObject(refusal)
    const verified = stage.verifyBodies([{ file: scene.file, size: 100_000, ...scene.digests }])
    await expect(verified[Symbol.asyncIterator]().next()).rejects.toMatchObject(refusal)
  })
})

describe('a body at once', () => {
  test('comes in one reading, in memory of its own, wherever its file is by then, which is closed again', async () => {
    const scene = await stored(1_000_000)
    const { disk, open, reads } = counting()
    const stage = again(scene, disk)
    const first = await stage.bytes({ in: 'file', file: scene.file }, 1_000_000)
    expect(reads()).toBe(1)
    expect(scene.body.equals(first)).toBe(true)
    first.fill(0)
    await stage.moveToCache(scene.file)
    for (const tree of ['file', 'cache'] as const) {
      expect(scene.body.equals(await stage.bytes({ in: tree, file: scene.file }, 1_000_000)), tree).toBe(true)
    }
    expect(open()).toBe(0)
  })

  test('of another length, gone, or one that cannot be read is an error, and its file is closed', async () => {
    const scene = await stored(100_000)
    const body = { in: 'file', file: scene.file } as const
    const { disk, open } = counting()
    const unreadable = intercepted(disk, async (call, run) => {
      if (call.operation === 'file.read') throw systemError('EIO', 'read')
      return await run()
    })
    await expect(again(scene, unreadable).bytes(body, 100_000)).rejects.toMatchObject({
      ...corrupt,
      rule: 'unreadable',
    })
    const stage = again(scene, disk)
    await truncate(scene.at, 99_999)
    await expect(stage.bytes(body, 100_000)).rejects.toMatchObject({ ...corrupt, rule: 'size' })
    expect(open()).toBe(0)
    await stage.unlinkBody(scene.file)
    await expect(stage.bytes(body, 100_000)).rejects.toMatchObject({ ...corrupt, rule: 'missing' })
  })
})

describe('damage', () => {
  test('of any one bit is found before a whole reading is complete (I7)', async () => {
    const scene = await stored(300_000)
    const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
    console.log(`bit flip seed ${seed}`)
    const random = dice(seed)
    const places = [0, 299_999, 262_143, 262_144, ...Array.from({ length: 60 }, () => Math.floor(random() * 300_000))]
    for (const place of places) {
      const damaged = Buffer.from(scene.body)
      damaged[place] = (damaged[place] ?? 0) ^ (1 << Math.floor(random() * 8))
      await writeFile(scene.at, damaged)
      const found = await readUntilFailure(sourceOf(scene), 0, 300_000)
      expect(found.error, `seed ${seed}, byte ${place}`).toMatchObject({ ...corrupt, rule: 'digest' })
      expect(found.bytes).toBeLessThan(300_000)
    }
  })

  test('is found before an upload in parts is complete, in whatever order its parts are read (I7)', async () => {
    const scene = await stored(1_000_003)
    const bounds = [0, 100_000, 400_000, 400_001, 999_999, 1_000_003]
    const parts = bounds.slice(1).map((end, index) => [bounds[index] ?? 0, end] as const)
    const orders = [parts, [...parts].reverse(), [...parts].sort((a, b) => (a[0] % 7) - (b[0] % 7))]
    for (const order of orders) {
      const whole = sourceOf(scene)
      for (const [start, end] of order) expect((await readUntilFailure(whole, start, end)).error).toBeUndefined()
    }
    const damaged = Buffer.from(scene.body)
    damaged[500_000] = (damaged[500_000] ?? 0) ^ 1
    await writeFile(scene.at, damaged)
    for (const order of orders) {
      const source = sourceOf(scene)
      const outcomes = []
      for (const [start, end] of order) outcomes.push({ ...(await readUntilFailure(source, start, end)), end, start })
      const last = outcomes.pop()
      expect(last?.error).toMatchObject({ ...corrupt, rule: 'digest' })
      expect(last?.bytes).toBeLessThan((last?.end ?? 0) - (last?.start ?? 0))
      expect(outcomes.every(each => each.error === undefined)).toBe(true)
    }
    const parallel = sourceOf(scene)
    const all = await Promise.all(parts.map(([start, end]) => readUntilFailure(parallel, start, end)))
    expect(all.filter(each => each.error !== undefined)).toHaveLength(1)
  })

  test('that came between two readings of the same part is found', async () => {
    const scene = await stored(500_000)
    const source = sourceOf(scene)
    await collected(source.open(0, 100_000))
    await collected(source.open(0, 1))
    const damaged = Buffer.from(scene.body)
    damaged[50_000] = (damaged[50_000] ?? 0) ^ 128
    await writeFile(scene.at, damaged)
    await expect(collected(source.open(0, 100_000))).rejects.toMatchObject({ ...corrupt, rule: 'digest' })
  })

  test('by truncation, growth, zeroed sectors, and by a swap of two files is found (D10, I7)', async () => {
    const scene = await stored(300_000)
    const failure = async (): Promise<unknown> => (await readUntilFailure(sourceOf(scene), 0, 300_000)).error
    await truncate(scene.at, 299_999)
    expect(await failure()).toMatchObject({ ...corrupt, rule: 'size' })
    await truncate(scene.at, 0)
    expect(await failure()).toMatchObject({ ...corrupt, rule: 'size' })
    await writeFile(scene.at, Buffer.concat([scene.body, Buffer.alloc(1)]))
    expect(await failure()).toMatchObject({ ...corrupt, rule: 'size' })
    await writeFile(scene.at, Buffer.from(scene.body).fill(0, 4096, 4608))
    expect(await failure()).toMatchObject({ ...corrupt, rule: 'digest' })
    await writeFile(scene.at, scene.body)
    expect(await failure()).toBeUndefined()

    const other = await put(scene.stage, bytes(300_000))
    const otherAt = join(scene.path, 'bodies', other.file)
    await rename(scene.at, `${scene.at}.swap`)
    await rename(otherAt, scene.at)
    await rename(`${scene.at}.swap`, otherAt)
    expect(await failure()).toMatchObject({ ...corrupt, rule: 'digest' })
  })

  test('while it is read, by an ending that comes too early or a disk that fails, is told (D10)', async () => {
    const scene = await stored(900_000)
    const iterator = sourceOf(scene).open(0, 900_000)[Symbol.asyncIterator]()
    await iterator.next()
    await truncate(scene.at, 300_000)
    await expect(
      (async () => {
        while ((await iterator.next()).done !== true);
      })(),
    ).rejects.toMatchObject({ ...corrupt, rule: 'size' })

    await writeFile(scene.at, scene.body)
    for (const operation of ['read', 'file.size', 'file.read'] as const) {
      const stage = again(
        scene,
        intercepted(nodeDisk, async (call, run) => {
          if (call.operation === operation) throw systemError('EIO', operation)
          return run()
        }),
      )
      const { error } = await readUntilFailure(sourceOf(scene, stage), 0, 900_000)
      expect(error).toMatchObject({ ...corrupt, rule: 'unreadable', cause: { code: 'EIO' } })
      expect(await stage.isPoisoned()).toBe(false)
    }
  })

  test('of a small body in the journal is found too (I7)', async () => {
    const { stage } = await openScene()
    const body = new Uint8Array(bytes(1000))
    const digests = digestsOf(body)
    const source = stage.source({ in: 'row', bytes: body }, 1000, digests)
    expect((await collected(source.open(0, 1000))).equals(body)).toBe(true)
    expect((await collected(source.open(10, 20))).equals(body.subarray(10, 20))).toBe(true)
    expect(await collected(source.open(1000, 1000))).toHaveLength(0)
    body[999] = (body[999] ?? 0) ^ 4
    await expect(collected(source.open(0, 10))).rejects.toMatchObject({ ...corrupt, rule: 'digest' })
    const short = stage.source({ in: 'row', bytes: body.subarray(1) }, 1000, digests)
    await expect(collected(short.open(0, 10))).rejects.toMatchObject({ ...corrupt, rule: 'size' })
  })

  test('is reported by a verification of all bodies, each with what is wrong (I4, I7)', async () => {
    const { stage, path } = await openScene()
    const all: LinkedBody[] = []
    for (const size of [20_000, 300_000, 40_000, 50_000]) {
      const { file, draft } = await put(stage, bytes(size))
      all.push({ file, size, crc32c: draft.digests.crc32c, md5: draft.digests.md5 })
    }
    const [first, second, third, fourth] = all as [LinkedBody, LinkedBody, LinkedBody, LinkedBody]
    const findings = async (bodies: Iterable<LinkedBody>): Promise<unknown[]> => {
      const found = []
      for await (const { body, error } of stage.verifyBodies(bodies)) found.push([body.file, error.rule])
      return found
    }
    expect(await findings(all)).toEqual([])
    const content = await readFile(join(path, 'bodies', second.file))
    await writeFile(join(path, 'bodies', second.file), content.fill(0, 0, 512))
    await truncate(join(path, 'bodies', third.file), 39_999)
    await stage.unlinkBody(fourth.file)
    const wrongMd5 = { ...first, md5: digestsOf(Buffer.from('other')).md5 }
    expect(await findings([...all, wrongMd5])).toEqual([
      [second.file, 'digest'],
      [third.file, 'size'],
      [fourth.file, 'missing'],
      [first.file, 'digest'],
    ])
    const reason = new Error('not now')
    const aborted = stage.verifyBodies(all, AbortSignal.abort(reason))
    await expect(aborted[Symbol.asyncIterator]().next()).rejects.toBe(reason)
  })
})

test('digests of parts join to the digest of the whole', () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
  console.log(`crc seed ${seed}`)
  const random = dice(seed)
  for (let round = 0; round < 300; round++) {
    const whole = bytes(Math.floor(random() * 5000))
    const cut = Math.floor(random() * (whole.length + 1))
    const [a, b] = [whole.subarray(0, cut), whole.subarray(cut)]
    expect(joinCrc32c(crc32c(a), crc32c(b), b.length), `seed ${seed}`).toBe(crc32c(whole))
  }
  // Longer than 32 bits can say: two lengths one after the other shift as their sum does.
  const long = 5_000_000_000
  const zeros = (crc: number, count: number): number => joinCrc32c(crc, 0, count)
  expect(zeros(zeros(0x12345678, long), 7)).toBe(zeros(0x12345678, long + 7))
})
