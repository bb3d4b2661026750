import { openHoldfast } from '../../src/holdfast/open.ts'
import { type Clouds, providersOf } from '../support/clouds.ts'
import { createHash } from 'node:crypto'

/** One large stream through put, both clouds and get, in a process whose memory is watched. Prints one line of JSON. */
const [directory = '', clouds = '', size = '0'] = process.argv.slice(2)
const total = Number(size)
const [primary, secondary] = providersOf(JSON.parse(clouds) as Clouds)
const store = await openHoldfast({ directory, primary, secondary, holdMs: 0, maxStageBytes: 4 * 2 ** 30 })

/** Every chunk differs, so that nothing can be right by accident. */
async function* body() {
  const chunk = Buffer.alloc(256 * 1024)
  for (let at = 0; at < total; at += chunk.length) {
    chunk.writeBigUInt64LE(BigInt(at), 0)
    chunk.writeBigUInt64LE(BigInt(at), chunk.length - 8)
    yield chunk.subarray(0, Math.min(chunk.length, total - at))
  }
}

const wanted = createHash('sha256')
for await (const chunk of body()) wanted.update(chunk)
// A process that has already worked a little: what is loaded on first use, and the room that V8 takes for any traffic, are there before the
// measuring begins. What is measured is what a large body adds.
for (let i = 0; i < 32; i++) await store.put(`warm up ${i}`, Buffer.alloc(1_000_000, i))
await store.drain({ until: 'verified' })
for (let i = 0; i < 32; i++) await (await store.get(`warm up ${i}`))?.bytes()

const before = process.memoryUsage.rss()
let most = before
const watch = setInterval(() => {
  most = Math.max(most, process.memoryUsage.rss())
}, 20)
const took: Record<string, number> = {}
const grown: Record<string, number> = {}
const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  const started = performance.now()
  const soFar = most
  most = process.memoryUsage.rss()
  const value = await work()
  took[what] = Math.round(performance.now() - started)
  grown[what] = Math.round((most - before) / 2 ** 20)
  most = Math.max(soFar, most)
  return value
}
const receipt = await timed('put', () => store.put('large', body()))
await timed('replicated', () => receipt.replicated({ until: 'verified' }))
while ((await store.status()).stage.bytes > 0) await new Promise(resolve => setTimeout(resolve, 20))
const got = createHash('sha256')
const from = await timed('get', async () => {
  const object = await store.get('large')
  if (object !== undefined) for await (const chunk of object.body) got.update(chunk)
  return object?.from
})
clearInterval(watch)
await store.close()
console.log(
  JSON.stringify({
    growth: Math.round((most - before) / 2 ** 20),
    before: Math.round(before / 2 ** 20),
    grown,
    took,
    from,
    isSame: wanted.digest('hex') === got.digest('hex'),
    size: receipt.size,
  }),
)
