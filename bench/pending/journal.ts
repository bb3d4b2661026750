import { digestsOf } from '../../src/core/digest.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import type { Accepted, Journal } from '../../src/journal/contract.ts'
import { openJournal } from '../../src/journal/sqlite.ts'
import { openDirectory } from '../../src/stage/directory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'

/** The journal of a directory by itself, as a store would open it. */
export async function openJournalOf(path: string): Promise<Journal> {
  const [disk, clock, random] = [nodeDisk, systemClock, systemRandom]
  const { identity } = await openDirectory({ path, kind: 'durable', disk, random, clock })
  const { journal } = await openJournal({ path, directory: identity, writer: random.hex(8), clock })
  return journal
}

/** What the put of a small body commits. */
export function accept(journal: Journal, key: string, bytes: Uint8Array): Promise<Accepted> {
  return journal.accept({
    key,
    kind: 'put',
    origin: 'app',
    version: undefined,
    stampMs: Date.now(),
    condition: undefined,
    size: bytes.byteLength,
    ...digestsOf(bytes),
    attributes: { contentType: 'application/octet-stream', metadata: {} },
    body: { in: 'row', bytes },
    providers: journal.providers().map(({ id }) => id),
    maxStageBytes: 2 ** 40,
  })
}
