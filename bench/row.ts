import { rows } from './rows/index.ts'
import type { Told } from './words.ts'

/** The process of one row: `row.ts ID ROUNDS DIRECTORY`. */

// Nobody waits for it any more.
const orphaned = () => process.exit(1)
process.once('disconnect', orphaned)

const [id, rounds, directory] = process.argv.slice(2)
const row = rows.find(each => each.id === Number(id))
if (row === undefined || directory === undefined) throw new Error(`no row ${id}`)

const tell = (told: Told) => process.send?.(told)
const findings = await row.run({ directory, say: text => tell({ is: 'line', text }) }, Number(rounds))
await new Promise<void>((resolve, reject) => {
  process.send?.({ is: 'done', findings } satisfies Told, undefined, undefined, error =>
    error === null ? resolve() : reject(error),
  )
})
process.off('disconnect', orphaned)
process.disconnect()
