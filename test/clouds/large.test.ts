import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startClouds } from '../support/clouds.ts'
import { checkDirectory } from '../support/directory.ts'

const mostGrowth = 96
const mebibytes = Number(process.env['HOLDFAST_LARGE_MIB'] ?? 1024)

test(`a stream of ${mebibytes} MiB goes through put, both clouds and get with at most 96 MiB more memory (I31)`, async () => {
  const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-large-'))
  try {
    await using started = await startClouds(join(root, 'clouds'))
    const program = fileURLToPath(new URL('./large.ts', import.meta.url))
    const size = String(mebibytes * 2 ** 20)
    let least = Number.POSITIVE_INFINITY
    // What V8 has not collected yet counts as grown, and when it collects is its own business: a process that once stays below needs no
    // more than that. One that kept the body, or a part of it that grows with it, would be above every time.
    for (let run = 0; run < 3 && least > mostGrowth; run++) {
      const directory = join(root, `store ${run}`)
      const { stdout } = await promisify(execFile)(process.execPath, [
        program,
        directory,
        JSON.stringify(started.clouds),
        size,
      ])
      const found = JSON.parse(stdout) as { growth: number; isSame: boolean; from: string; size: number; took: unknown }
      console.log(stdout.trim())
      expect(found).toMatchObject({ isSame: true, from: 's3', size: Number(size) })
      least = Math.min(least, found.growth)
      await checkDirectory(directory)
    }
    expect(least).toBeLessThanOrEqual(mostGrowth)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}, 600_000)
