import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { onTestFinished, type TestContext } from 'vitest'

export const run = promisify(execFile)

/** An empty directory on a disk that keeps things, gone after the test. */
export async function scratch(): Promise<string> {
  const path = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-disk-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** Runs what needs rights or tools that this machine may not have. Skips the test, and says so, where it has not. */
export async function need(context: TestContext, command: string, args: readonly string[]): Promise<void> {
  try {
    await run(command, args)
  } catch (error) {
    const reason = `${command} does not work here (${(error as Error).message.split('\n')[0]})`
    process.stdout.write(`SKIPPED: ${context.task.name}: ${reason}\n`)
    context.skip(reason)
  }
}

/** Mounts it at an empty directory until the test ends. */
export async function mount(context: TestContext, args: readonly string[], at: string): Promise<void> {
  await mkdir(at, { recursive: true })
  await need(context, 'mount', [...args, at])
  onTestFinished(async () => {
    await run('umount', ['-l', at]).catch(() => {})
  })
}

/** A file system in memory of so many megabytes. */
export function memoryDisk(context: TestContext, at: string, megabytes: number): Promise<void> {
  return mount(context, ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'holdfast'], at)
}

/** An ext4 of so many megabytes, in a file beside it. */
export async function ext4(
  context: TestContext,
  at: string,
  megabytes: number,
  options: readonly string[] = [],
): Promise<void> {
  const image = `${at}.img`
  await writeFile(image, '')
  await truncate(image, megabytes * 2 ** 20)
  await need(context, 'mkfs.ext4', ['-q', ...options, image])
  await mount(context, ['-o', 'loop,errors=remount-ro', image], at)
}
