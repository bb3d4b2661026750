import { tell } from './forks.ts'
import { openPaused } from './paused.ts'
import { streamOf } from './stream.ts'

/** `stream-memory.ts DIRECTORY BYTES`: puts one stream, and tells by how much the memory of this process (RSS) grew at most meanwhile. */

const [directory = '', bytes] = process.argv.slice(2)
const store = await openPaused(directory)
globalThis.gc?.()
const before = process.memoryUsage.rss()
let most = before
const looking = setInterval(() => {
  most = Math.max(most, process.memoryUsage.rss())
}, 10)
const { size } = await store.put('films/1.mp4', streamOf(Number(bytes)))
if (size !== Number(bytes)) throw new Error('that was not the whole stream')
most = Math.max(most, process.memoryUsage.rss())
clearInterval(looking)
await store.close()
await tell({ grownMiB: (most - before) / 2 ** 20 })
