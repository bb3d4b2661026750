import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestsOf } from '../../src/core/digest.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import type { Evidence, Journal, NewWrite } from '../../src/journal/contract.ts'
import type { OpenedJournal } from '../../src/journal/engine.ts'
import { openJournal } from '../../src/journal/sqlite.ts'
import { openDirectory } from '../../src/stage/directory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { checkDirectory } from '../support/directory.ts'

export interface Scene extends AsyncDisposable {
  readonly path: string
  /** A journal as another process would open it; buckets of these names are registered, two of them, ids 1 and 2, where none are given. */
  open(names?: readonly string[]): Promise<OpenedJournal>
  /** The same, for tests that expect nothing to verify. */
  journal(names?: readonly string[]): Promise<Journal>
}

export async function scene(): Promise<Scene> {
  const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-journal-'))
  const path = join(root, 'store')
  const directory = await openDirectory({
    path,
    kind: 'durable',
    disk: nodeDisk,
    random: systemRandom,
    clock: systemClock,
  })
  const opened: Journal[] = []
  const open = async (names: readonly string[] = ['a', 'b']) => {
    const found = await openJournal({
      path,
      directory: directory.identity,
      writer: systemRandom.hex(8),
      clock: systemClock,
    })
    opened.push(found.journal)
    if (found.verification === undefined) await found.journal.register(names.map(at))
    return found
  }
  return {
    path,
    open,
    journal: async names => (await open(names)).journal,
    async [Symbol.asyncDispose]() {
      for (const journal of opened) await journal.close()
      await checkDirectory(path)
      await rm(root, { recursive: true, force: true })
    },
  }
}

export function at(name: string): { location: string; name: string } {
  return { location: `test://${name}`, name }
}

export function write(key: string, more: Partial<NewWrite> = {}): NewWrite {
  const bytes = randomBytes(10)
  return {
    key,
    kind: 'put',
    origin: 'app',
    version: undefined,
    stampMs: Date.now(),
    condition: undefined,
    size: bytes.byteLength,
    ...digestsOf(bytes),
    attributes: { contentType: 'text/plain', metadata: { a: 'b' } },
    body: { in: 'row', bytes },
    providers: [1, 2],
    maxStageBytes: 1_000_000,
    ...more,
  }
}

export function deletion(key: string, more: Partial<NewWrite> = {}): NewWrite {
  return write(key, { kind: 'delete', size: 0, crc32c: '', md5: '', body: { in: 'none' }, ...more })
}

export function evidence(more: Partial<Evidence> = {}): Evidence {
  return {
    token: 'token',
    proof: 'server-full',
    etag: undefined,
    partSize: undefined,
    storedAt: Date.now(),
    lookAt: Date.now(),
    ...more,
  }
}
