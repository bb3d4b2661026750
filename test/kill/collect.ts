import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../src/core/system.ts'
import { openJournal } from '../../src/journal/sqlite.ts'

/** What killed processes had published and could not commit any more is collected after a quarter of an hour: here, now. */
export async function collectAll(path: string): Promise<void> {
  const identity = JSON.parse(await readFile(join(path, 'holdfast.json'), 'utf8')) as { directory: string }
  const { journal } = await openJournal({
    path,
    directory: identity.directory,
    writer: '0'.repeat(16),
    clock: systemClock,
  })
  const lease = await journal.lease()
  await lease?.collect(await readdir(join(path, 'bodies')))
  await lease?.end()
  await journal.close()
}
