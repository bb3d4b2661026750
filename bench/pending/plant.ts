import { tell } from '../forks.ts'
import { manyAtATime } from '../measure.ts'
import { bodiesOf, openPaused } from '../paused.ts'
import { accept, openJournalOf } from './journal.ts'
import { keyOf } from './keys.ts'

/**
 * `plant.ts DIRECTORY COUNT BYTES`: so many writes wait in a directory. They go to the journal straight, many thousand in a transaction: through puts it would take twice as
 * long. Tells when it is closed.
 */

const [directory = '', count, bytes] = process.argv.slice(2)
// Registers the providers.
await (await openPaused(directory)).close()
const journal = await openJournalOf(directory)
const body = bodiesOf(Number(bytes))
await manyAtATime(Number(count), 10_000, i => accept(journal, keyOf(i), body(i).slice()))
await journal.close()
await tell({})
