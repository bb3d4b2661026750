import { join } from 'node:path'
import type { TestContext } from 'vitest'
import type { Status } from '../../src/holdfast/status.ts'
import { checkDirectory } from '../support/directory.ts'
import { scratch } from './place.ts'
import { type StoreProcess, storeProcess } from './process.ts'
import { type DiskFault, type Shim, shim } from './shim.ts'

/** A real process, real SQLite, a real disk; a shim between them lets single calls fail. */
export interface Scene {
  readonly directory: string
  readonly disk: Shim
  readonly app: StoreProcess
  put(key: string, size?: number): Promise<string>
  /** `key` names its own body. */
  size(key: string): Promise<unknown>
  status(): Promise<Status>
}

export const small = 100
export const large = 60_000
/** Files, by a part of their path. */
export const [drafts, names, log, bodies] = ['/store/drafts/', '/store/bodies', '/journal.sqlite-wal', '/store/bodies/']

export async function scene(context: TestContext, run: 'here' | 'external' = 'external'): Promise<Scene> {
  const root = await scratch()
  const disk = shim(context, root)
  const directory = join(root, 'store')
  const app = await storeProcess(directory, { store: { replication: { run } } }, disk.env)
  await app.order({ do: 'open' })
  return {
    directory,
    disk,
    app,
    put: (key, size = small) => app.order({ do: 'put', key, seed: key, size }),
    size: key => app.order({ do: 'get', key, seed: key }),
    status: () => app.order<Status>({ do: 'status' }),
  }
}

export async function reopened({ app, disk, directory }: Scene): Promise<void> {
  disk.clear()
  await app.order({ do: 'close' })
  await checkDirectory(directory, { orphans: 'allowed' })
  await app.order({ do: 'open' })
}

/** A put that meets the fault; what it says. */
export function refusal({ app, disk }: Scene, fault: DiskFault, size: number) {
  disk.set(fault)
  return app.failed({ do: 'put', key: 'refused', seed: 'refused', size })
}

export const poisoned = { code: 'CORRUPT', field: 'directory', rule: 'poisoned', retryable: false }
