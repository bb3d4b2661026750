import { tell } from '../forks.ts'
import { manyAtATime } from '../measure.ts'
import { bodiesOf, openPaused } from '../paused.ts'
import { keyOf } from './keys.ts'

/** `plant.ts DIRECTORY COUNT BYTES`: so many objects are put, and go nowhere. Tells when they are there and the store is closed. */

const [directory = '', count, bytes] = process.argv.slice(2)
const store = await openPaused(directory)
const body = bodiesOf(Number(bytes))
await manyAtATime(Number(count), 512, i => store.put(keyOf(i), body(i)))
await store.close()
await tell({})
