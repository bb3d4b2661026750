import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import type { LinkedBody } from '../../src/stage/drafts.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import type { Stage } from '../../src/stage/stage.ts'
import { bytes, collected, dice, inPieces } from './bodies.ts'
import { intercepted } from './disks.ts'
import { again, openScene, put, type Scene } from './scene.ts'

const corrupt = { name: 'HoldfastError', code: 'CORRUPT', field: 'body', reason: 'LOCAL_CORRUPT', retryable: false }

interface Parts extends Scene {
  readonly whole: Buffer
  readonly parts: readonly LinkedBody[]
}

async function stored(sizes: readonly number[]): Promise<Parts> {
  const scene = await openScene()
  const whole = bytes(sizes.reduce((sum, size) => sum + size, 0))
  const parts: LinkedBody[] = []
  let at = 0
  for (const size of sizes) {
    const { file, draft } = await put(scene.stage, whole.subarray(at, at + size), { smallBytes: -1 })
    const { crc32c, md5 } = draft.digests
    parts.push({ file, size, crc32c, md5 })
    at += size
  }
  return { ...scene, whole, parts }
}

const sourceOf = ({ stage, parts, whole }: Parts, other: Stage = stage) =>
  other.source({ in: 'parts', parts }, whole.length, digestsOf(whole))

test('a body in parts is what its files have one after the other, any part of it as often as asked', async () => {
  const scene = await stored([300_000, 0, 1, 700_000, 5])
  const source = sourceOf(scene)
  expect(source).toMatchObject({ size: 1_000_006, ...digestsOf(scene.whole) })
  const seed = Number(process.env['HOLDFAST_SEED'] ?? Date.now() % 1_000_000)
  const below = dice(seed)
  console.log(`ranges seed ${seed}`)
  const ranges = [
    [0, 1_000_006],
    [0, 0],
    [300_000, 300_001],
    [299_999, 300_002],
    [1_000_006, 1_000_006],
    ...Array.from({ length: 30 }, () => {
      const start = Math.floor(below() * 1_000_006)
      return [start, start + Math.floor(below() * (1_000_006 - start))] as const
    }),
  ] as const
  const read = await Promise.all(ranges.map(([start, end]) => collected(source.open(start, end))))
  for (const [index, [start, end]] of ranges.entries())
    expect(read[index]?.equals(scene.whole.subarray(start, end)), `${start}-${end}, seed ${seed}`).toBe(true)
})

test('one file is open at a time, and none when the loop ends or is left', async () => {
  const scene = await stored([300_000, 300_000, 300_000])
  let now = 0
  let most = 0
  const disk = intercepted(nodeDisk, async (call, run) => {
    const done = await run()
    if (call.operation === 'read') most = Math.max(most, ++now)
    if (call.operation === 'file.close') now--
    return done
  })
  const source = sourceOf(scene, again(scene, disk))
  await collected(source.open(0, 900_000))
  expect([now, most]).toEqual([0, 1])
  for await (const _ of source.open(250_000, 900_000)) break
  expect(now).toBe(0)
})

test('a part that is damaged is found before its last bytes are given, by whoever covers it, and is named', async () => {
  const scene = await stored([300_000, 300_000, 300_000])
  const path = join(scene.path, 'bodies', scene.parts[1]?.file ?? '')
  const right = await readFile(path)
  const wrong = Buffer.from(right)
  wrong.writeUInt8(wrong.readUInt8(9) ^ 1, 9)
  await writeFile(path, wrong)
  let given = 0
  const read = async (start: number, end: number) => {
    for await (const chunk of sourceOf(scene).open(start, end)) given += chunk.byteLength
  }
  await expect(read(0, 900_000)).rejects.toMatchObject({
    ...corrupt,
    rule: 'digest',
    message: expect.stringContaining(path),
  })
  expect(given).toBeLessThan(600_000)
  await read(0, 300_000)
  await read(600_000, 900_000)
  await expect(read(300_000, 600_000)).rejects.toMatchObject({ ...corrupt, rule: 'digest' })
  // In two readings of one source, as an upload in other parts makes them.
  const source = sourceOf(scene)
  await collected(source.open(0, 400_000))
  await expect(collected(source.open(400_000, 900_000))).rejects.toMatchObject({ ...corrupt, rule: 'digest' })

  await writeFile(path, right.subarray(1))
  await expect(read(0, 900_000)).rejects.toMatchObject({ ...corrupt, rule: 'size' })
  await rm(path)
  await expect(read(0, 900_000)).rejects.toMatchObject({ ...corrupt, rule: 'missing' })
  const short = scene.stage.source({ in: 'parts', parts: scene.parts.slice(1) }, 900_000, digestsOf(scene.whole))
  await expect(collected(short.open(0, 900_000))).rejects.toMatchObject({ ...corrupt, rule: 'size' })
})

test('below 0, also empty bodies and those of unknown size are files', async () => {
  const { stage, path } = await openScene()
  for (const [body, size] of [
    [Buffer.alloc(0), 0],
    [Buffer.alloc(0), undefined],
    [bytes(10), undefined],
    [bytes(10), 10],
    [bytes(300_000), undefined],
  ] as const) {
    await using draft = await stage.receive(inPieces(body, 65_536), { expected: { size }, smallBytes: -1 })
    const published = await draft.publish()
    expect(published.in).toBe('file')
    if (published.in === 'file') expect((await readFile(join(path, 'bodies', published.file))).equals(body)).toBe(true)
    expect(draft).toMatchObject({ size: body.length, digests: digestsOf(body) })
  }
})
