import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openHoldfast } from '../src/index.ts'
import { memory } from '../src/providers/memory.ts'

/**
 * A new, empty directory on a disk that Holdfast trusts: where the system keeps temporary files, or, if it keeps those in memory, where it
 * keeps them over a restart, or beside the packages of this project.
 */
export async function openPlace(): Promise<string> {
  const roots = [tmpdir(), '/var/tmp', fileURLToPath(new URL('../node_modules', import.meta.url))]
  let refusal: unknown
  for (const root of roots) {
    let path: string | undefined
    try {
      path = await mkdtemp(join(root, 'holdfast-demo-'))
      await tryOut(join(path, 'trial'))
      return path
    } catch (error) {
      refusal = error
      if (path !== undefined) await removePlace(path)
    }
  }
  throw refusal
}

export async function removePlace(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 10 })
}

/** Only the library itself knows what it takes. */
async function tryOut(directory: string): Promise<void> {
  const [primary, secondary] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const store = await openHoldfast({ directory, primary, secondary })
  await store.close()
  await rm(directory, { recursive: true })
}
