import { mkdtemp, readdir, readlink, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import type { Clock, Disk } from '../../src/core/ports.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { type Directory, openDirectory } from '../../src/stage/directory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import type { Draft, ReceiveOptions } from '../../src/stage/drafts.ts'
import { openStage, type Stage } from '../../src/stage/stage.ts'
import { inPieces } from './bodies.ts'

const tmpfs = 0x01021994

/** An empty directory on a disk that keeps things, gone after the test. */
export async function scratch(): Promise<string> {
  const temporary = tmpdir()
  const base = (await statfs(temporary)).type === tmpfs ? join(import.meta.dirname, '..', '..', '..') : temporary
  const path = await mkdtemp(join(base, 'holdfast-stage-'))
  onTestFinished(async () => {
    const open = await openFilesBelow(path)
    await rm(path, { recursive: true, force: true })
    expect(open, 'files left open').toEqual([])
  })
  return path
}

/** What this process has open there, where the system tells (Linux). */
async function openFilesBelow(path: string): Promise<string[]> {
  const numbers = await readdir('/proc/self/fd').catch(() => [])
  const names = await Promise.all(numbers.map(number => readlink(`/proc/self/fd/${number}`).catch(() => '')))
  return names.filter(name => name.startsWith(path))
}

export interface Scene {
  readonly path: string
  readonly directory: Directory
  readonly stage: Stage
}

export interface SceneOptions {
  readonly path?: string
  readonly disk?: Disk
  readonly clock?: Clock
  readonly maxStageBytes?: number
  readonly stagedBytes?: () => number
}

export async function openScene(options: SceneOptions = {}): Promise<Scene> {
  const { disk = nodeDisk, clock = systemClock, maxStageBytes = 1e12, stagedBytes = () => 0 } = options
  const path = options.path ?? join(await scratch(), 'stage')
  const directory = await openDirectory({ path, kind: 'durable', disk, random: systemRandom, clock })
  return { path, directory, stage: openStage({ directory, random: systemRandom, clock, maxStageBytes, stagedBytes }) }
}

/** The stage of another disk on the same directory, as another process would have it. */
export function again(scene: Scene, disk: Disk, options: { maxStageBytes?: number; clock?: Clock } = {}): Stage {
  return openStage({
    directory: { ...scene.directory, disk },
    random: systemRandom,
    clock: options.clock ?? systemClock,
    maxStageBytes: options.maxStageBytes ?? 1e12,
    stagedBytes: () => 0,
  })
}

/** Puts a body into `bodies/` and lets the journal, which is not there, have it. */
export async function put(
  stage: Stage,
  body: Uint8Array,
  options: ReceiveOptions = {},
): Promise<{ file: string; draft: Draft }> {
  const draft = await stage.receive(inPieces(body, 65_536), options)
  const published = await draft.publish()
  draft.release()
  if (published.in !== 'file') throw new Error('this body is too small for a file')
  return { file: published.file, draft }
}
