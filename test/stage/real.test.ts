import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, readdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, type TestContext, test } from 'vitest'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { openDirectory } from '../../src/stage/directory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import type { LinkedBody } from '../../src/stage/drafts.ts'
import { openStage, type Stage } from '../../src/stage/stage.ts'
import { bytes, chunksOf, inPieces } from './bodies.ts'
import { openScene, put, scratch } from './scene.ts'

// Real processes on real file systems: what the models of the other tests take for granted.

const run = promisify(execFile)
const script = join(import.meta.dirname, 'child.ts')

/** Runs a command that needs rights or tools which this machine may not have; skips the test, with the reason, where it has not. */
async function need(context: TestContext, command: string, args: readonly string[]): Promise<void> {
  try {
    await run(command, args)
  } catch (error) {
    const reason = `${command} does not work here (${(error as Error).message.split('\n')[0]})`
    console.log(`skipped: ${reason}`)
    context.skip(reason)
  }
}

async function mounted(context: TestContext, args: readonly string[], at: string): Promise<void> {
  await mkdir(at, { recursive: true })
  await need(context, 'mount', [...args, at])
  onTestFinished(async () => {
    await run('umount', [at]).catch(() => {})
  })
}

interface Child {
  readonly process: ChildProcess
  readonly acknowledged: LinkedBody[]
  readonly refused: string[]
  readonly identity: () => string | undefined
  readonly end: () => string | undefined
  /** All that it said has been read. */
  readonly ended: Promise<unknown>
}

function start(before: readonly string[], ...args: readonly (string | number)[]): Child {
  const [command = process.execPath, ...rest] = [...before, process.execPath, script, ...args.map(String)]
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  const acknowledged: LinkedBody[] = []
  const refused: string[] = []
  let identity: string | undefined
  let end: string | undefined
  const lines = createInterface({ input: child.stdout })
  lines.on('line', line => {
    const [what, ...values] = line.split(' ')
    const [file = '', size = '', crc32c = '', md5 = ''] = values
    if (what === 'open') identity = file
    if (what === 'put' && md5.length === 32) acknowledged.push({ file, size: Number(size), crc32c, md5 })
    if (what === 'refused') refused.push(values.join(' '))
    if (what === 'end') end = values.join(' ')
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return {
    process: child,
    acknowledged,
    refused,
    identity: () => identity,
    end: () => end,
    ended: Promise.all([once(lines, 'close'), once(child, 'exit')]),
  }
}

async function badOf(stage: Stage, bodies: readonly LinkedBody[]): Promise<string[]> {
  const found: string[] = []
  for await (const { body, error } of stage.verifyBodies(bodies)) found.push(`${body.file} ${error.message}`)
  return found
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise(resolve => setTimeout(resolve, 2))
}

describe('a process that is killed', () => {
  test('at any time leaves every body that it acknowledged, and drafts that go at the next opening (I1, I20)', {
    timeout: 120_000,
  }, async () => {
    const path = join(await scratch(), 'stage')
    const all: LinkedBody[] = []
    for (let kill = 0; kill < 6; kill++) {
      const child = start([], path, 6, 100_000, 900_000)
      await until(() => child.acknowledged.length >= 10 + kill * 7)
      child.process.kill('SIGKILL')
      await child.ended
      all.push(...child.acknowledged)
      const { stage } = await openScene({ path })
      await stage.sweep.all()
      expect(await badOf(stage, all)).toEqual([])
      expect(await readdir(join(path, 'drafts'))).toEqual([])
      expect(await stage.isPoisoned()).toBe(false)
    }
  })
})

describe('a power cut on ext4', () => {
  test('takes nothing that was acknowledged (D1, I1, I5)', { timeout: 120_000 }, async context => {
    const root = await scratch()
    const image = join(root, 'disk.img')
    await writeFile(image, '')
    await truncate(image, 96_000_000)
    await need(context, 'mkfs.ext4', ['-q', image])
    // Nothing but the syncs of the process itself is to bring anything to the disk.
    await mounted(context, ['-o', 'loop,commit=300', image], join(root, 'live'))
    const path = join(root, 'live', 'stage')
    const child = start([], path, 4, 100_000, 40_000)
    for (let cut = 1; cut <= 3; cut++) {
      await until(() => child.acknowledged.length >= cut * 60)
      child.process.kill('SIGSTOP')
      // What it said before it stood still is in the pipe.
      await new Promise(resolve => setTimeout(resolve, 50))
      const acknowledged = [...child.acknowledged]
      const copy = join(root, `cut-${cut}.img`)
      await copyFile(image, copy)
      child.process.kill('SIGCONT')

      const at = join(root, `cut-${cut}`)
      await mounted(context, ['-o', 'loop', copy], at)
      const { stage, directory } = await openScene({ path: join(at, 'stage') })
      expect(directory.identity).toBe(child.identity())
      expect(await badOf(stage, acknowledged), `cut ${cut}`).toEqual([])
      await stage.sweep.all()
      await put(stage, bytes(30_000))
      await run('umount', [at])
    }
    child.process.kill('SIGKILL')
    await child.ended
  })
})

describe('a full disk', () => {
  test('refuses puts, keeps what it has, drains, and goes on when there is room (D6, I31)', {
    timeout: 120_000,
  }, async context => {
    const at = join(await scratch(), 'small')
    await mounted(context, ['-t', 'tmpfs', '-o', 'size=8m', 'holdfast'], at)
    const path = join(at, 'stage')
    const options = { path, kind: 'ephemeral', disk: nodeDisk, random: systemRandom, clock: systemClock } as const
    const open = async (): Promise<Stage> =>
      openStage({
        directory: await openDirectory(options),
        random: systemRandom,
        clock: systemClock,
        maxStageBytes: 1e9,
        stagedBytes: () => 0,
      })
    const stage = await open()
    const bodies: LinkedBody[] = []
    const fill = async (size: number): Promise<unknown> => {
      for (;;) {
        try {
          const { file, draft } = await put(stage, bytes(size))
          bodies.push({ file, size, ...draft.digests })
        } catch (error) {
          return error
        }
      }
    }
    // Of unknown size each, so that the disk itself has to say that it is full; down to pages of which only a part fits.
    for (const size of [1_300_000, 150_001, 17_000]) {
      expect(await fill(size)).toMatchObject({ code: 'NO_SPACE', outcome: 'rejected', retryable: true })
    }
    expect(bodies.length).toBeGreaterThan(3)
    expect(await readdir(join(path, 'drafts'))).toEqual([])
    expect(stage.reservedBytes).toBe(0)
    expect(await stage.isPoisoned()).toBe(false)
    expect(await badOf(stage, bodies)).toEqual([])

    // A large body of known size is not even begun.
    let begun = false
    async function* large(): AsyncGenerator<Uint8Array> {
      begun = true
      yield bytes(2_000_000)
    }
    await expect(stage.receive(large(), { expected: { size: 2_000_000 } })).rejects.toMatchObject({ code: 'NO_SPACE' })
    expect(begun).toBe(false)

    // It still opens, and the reserve still gives what the journal needs.
    expect(await badOf(await open(), bodies)).toEqual([])
    expect(await stage.restoreReserve()).toBe(true)
    await stage.releaseReserve()
    await writeFile(join(at, 'journal'), bytes(3_000_000))
    expect(await stage.restoreReserve()).toBe(false)

    for (const { file } of bodies.splice(0)) await stage.unlinkBody(file)
    await put(stage, bytes(500_000))
    expect(await readdir(join(path, 'bodies'))).toHaveLength(1)
  })
})

describe('limits of the process', () => {
  test('on the size of a file refuse one body and spoil nothing (D6)', { timeout: 120_000 }, async context => {
    await need(context, 'prlimit', ['--version'])
    const path = join(await scratch(), 'stage')
    const child = start(['prlimit', '--fsize=4300000'], path, 2, 12, 8_000_000)
    await child.ended
    expect(child.end()).toBe('0 false')
    expect(child.acknowledged.length + child.refused.length).toBe(12)
    expect(new Set(child.refused)).toEqual(child.refused.length > 0 ? new Set(['NO_SPACE false']) : new Set())
    const { stage } = await openScene({ path })
    expect(await badOf(stage, child.acknowledged)).toEqual([])
    expect(await readdir(join(path, 'drafts'))).toEqual([])
  })

  test('on open files refuse some puts, lose none, and poison nothing (D11)', { timeout: 120_000 }, async context => {
    await need(context, 'prlimit', ['--version'])
    const path = join(await scratch(), 'stage')
    const child = start(['prlimit', '--nofile=60'], path, 200, 600, 60_000)
    await child.ended
    expect(child.end()).toBe('0 false')
    expect(child.refused.length).toBeGreaterThan(0)
    expect(new Set(child.refused)).toEqual(new Set(['UNAVAILABLE true']))
    expect(child.acknowledged.length).toBeGreaterThan(0)
    const { stage } = await openScene({ path })
    expect(await badOf(stage, child.acknowledged)).toEqual([])
    await expect((await stage.receive(inPieces(bytes(50_000), 999))).publish()).resolves.toMatchObject({ in: 'file' })
    await expect((await stage.receive(chunksOf(bytes(5)))).publish()).resolves.toMatchObject({ in: 'row' })
  })
})
