import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { HoldfastError, openHoldfast } from '../src/index.ts'
import type { CallName, Calls, Order, Report } from './calls.ts'
import { type Clouds, providersOf } from './clouds.ts'

/**
 * The app of the demo, a process of its own: opens the store, puts and reads what it is told to, and tells its parent only what the store
 * promised. It keeps nothing in memory that matters, so that it may be killed at any moment. Started with the directory and the clouds.
 */
const [directory = '', clouds = ''] = process.argv.slice(2)
const say = (report: Report): void => void process.send?.(report)
process.on('disconnect', () => process.exit(1))
// A terminal sends ^C to all processes at once; the parent decides what becomes of this one.
process.on('SIGINT', () => {})

const begun = performance.now()
// Every option as it comes, but for the hold: 15 minutes between the two looks would be a long demo.
const store = await openHoldfast({ directory, ...providersOf(JSON.parse(clouds) as Clouds), holdMs: 1_000 })
store.on('stored', ({ provider, key }) => say({ type: 'stored', provider, key }))
store.on('verified', ({ provider, key }) => say({ type: 'verified', provider, key }))

const calls: { readonly [C in CallName]: (argument: Calls[C]['argument']) => Promise<Calls[C]['answer']> } = {
  async put({ key, path, size, sha256, contentType, metadata }) {
    const body = createReadStream(path)
    // With `expect`, a file that has changed since the demo looked at it is refused rather than stored.
    const { version } = await store.put(key, body, { contentType, metadata, expect: { size, sha256 } })
    return { version }
  },
  async get(key) {
    const found = await store.get(key)
    if (found === undefined) return undefined
    const hash = createHash('sha256')
    for await (const chunk of found.body) hash.update(chunk)
    const { size, contentType, metadata } = found.info
    return { from: found.from, size, sha256: hash.digest('hex'), contentType, metadata: { ...metadata } }
  },
  status: () => store.status(),
  async drain(until) {
    await store.drain({ until })
    return undefined
  },
  async close() {
    await store.close()
    return undefined
  },
}

process.on('message', ({ id, call, argument }: Order) => {
  const run = calls[call] as (argument: unknown) => Promise<unknown>
  run(argument).then(
    value => say({ type: 'answer', id, value }),
    (error: unknown) =>
      say({
        type: 'failed',
        id,
        message: error instanceof HoldfastError ? `${error.code}: ${error.message}` : String(error),
      }),
  )
})
say({ type: 'ready', openedInMs: performance.now() - begun })
