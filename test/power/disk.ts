import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { onTestFinished, type TestContext } from 'vitest'
import { compileShim } from './ask.ts'

const run = promisify(execFile)

/**
 * A file system in a file. What the file has at any moment is what was brought to the disk: the bytes and names that only the page cache of the file
 * system in it has are not there. (What was brought there stays, in whatever order: a drive that loses what it said it had is not shown.)
 */
export interface Image extends AsyncDisposable {
  /** Where it is mounted. */
  readonly at: string
  /** The same without power: a copy of the file as it is now, mounted elsewhere. */
  cut(): Promise<Image>
}

export interface Bench {
  readonly root: string
  readonly shim: string
  /** New and empty. */
  image(): Promise<Image>
}

/**
 * Nothing but the syncs of the process itself is to bring anything to the disk: no commit every 5 s, no flush of its own after a rename or a
 * truncation. (The kernel writes back what is older than 30 s: lives are shorter.)
 */
const journalled = 'loop,commit=300,noauto_da_alloc'
const plain = 'loop,noauto_da_alloc'

/** In memory, where there is such a place: what the file of an image loses with the power is nobody's question, and its own syncs take time. */
export async function newRoot(): Promise<string> {
  const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
  return mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? memory, 'holdfast-power-'))
}

/**
 * What tests with power cuts need: root, loop mounts, a C compiler. Skips the test, and says why, where one is missing. With a journal, ext4 brings
 * all names to the disk with whatever is synced, whichever file that is; without one, only what was asked for.
 */
export async function powerBench(
  context: TestContext,
  kind: 'ext4' | 'ext4 without a journal' = 'ext4',
): Promise<Bench> {
  const root = await newRoot()
  const mounts = new Set<string>()
  onTestFinished(async () => {
    for (const at of mounts) execFileSync('umount', [at])
    await rm(root, { recursive: true, force: true })
  })
  const need = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      return context.skip(`${what}: ${(error as Error).message.split('\n')[0]}`)
    }
  }
  if (process.geteuid?.() !== 0) return context.skip('power cuts need root, to mount images')
  const shim = await need('power cuts need a C compiler (cc; Debian: gcc, libc6-dev)', () => compileShim(root))
  const empty = join(root, 'empty.img')
  await need('power cuts need mkfs.ext4', async () => {
    await run('truncate', ['-s', '64M', empty])
    // All of it at once: what the kernel would bring to the disk later on, in the background, is not the process's.
    const whole = 'lazy_itable_init=0,lazy_journal_init=0,nodiscard'
    const journal = kind === 'ext4' ? ['-J', 'size=4'] : ['-O', '^has_journal']
    await run('mkfs.ext4', ['-q', '-F', '-m', '0', ...journal, '-E', whole, empty])
  })

  let made = 0
  async function image(like: string): Promise<Image> {
    const file = join(root, `disk-${made++}`)
    const at = `${file}.mount`
    await run('cp', ['--sparse=auto', like, file])
    await mkdir(at)
    // As a machine does that starts again. Its exit code says only that there was something to mend.
    if (kind !== 'ext4') await run('e2fsck', ['-fy', file]).catch(() => {})
    await run('mount', ['-o', kind === 'ext4' ? journalled : plain, file, at])
    mounts.add(at)
    return {
      at,
      cut: () => image(file),
      async [Symbol.asyncDispose]() {
        await run('umount', [at])
        mounts.delete(at)
        await rm(file)
      },
    }
  }
  const first = await need('power cuts need loop mounts', () => image(empty))
  await first[Symbol.asyncDispose]()
  return { root, shim, image: () => image(empty) }
}
