import { createHash } from 'node:crypto'
import { providersOf } from '../demo/clouds.ts'
import { HoldfastError, openHoldfast } from '../src/index.ts'
import { seededRandom } from '../src/testing/clock.ts'
import type { Asked, Told, Wanted } from './words.ts'

/**
 * The app that is watched: it puts, reads, lists and deletes at a steady rate, whatever the clouds do, and knows of each key what must be there. What it reads is
 * compared; what is not as it should be is told.
 */

const keyCount = 400
const mostInFlight = 64
const sizes = [200, 3_000, 12_000, 40_000, 250_000, 1_500_000]
const shares = [0.4, 0.7, 0.85, 0.96, 0.995, 1]

const wanted = await new Promise<Wanted>(resolve => process.once('message', resolve))
const { seed, perSecond, directory } = wanted
const random = seededRandom(seed)
const chance = () => random.number()

const store = await openHoldfast({
  directory,
  ...providersOf(wanted.clouds),
  holdMs: 2_000,
  cacheBytes: 4_000_000,
  maxStageBytes: 200_000_000,
  scrub: { objectsPerDay: 2_000_000 },
})

/** What is under a key, by the last write that was acknowledged; while one is on its way, nobody compares. */
const expected = new Map<string, string | undefined>()
const busy = new Set<string>()
const faults: string[] = []
const done = { puts: 0, gets: 0, deletes: 0, lists: 0, refused: 0 }
let inFlight = 0
let isLoading = true

function tell(message: Told): void {
  process.send?.(message)
}

async function one(): Promise<void> {
  const key = `photos/${Math.floor(chance() * keyCount)}`
  if (busy.has(key)) return
  busy.add(key)
  try {
    const kind = chance()
    if (kind < 0.45) await put(key)
    else if (kind < 0.93) await get(key)
    else if (kind < 0.99) await remove(key)
    else await list()
  } finally {
    busy.delete(key)
  }
}

async function put(key: string): Promise<void> {
  const share = chance()
  const most = sizes[shares.findIndex(each => share < each)] ?? 200
  const body = Buffer.alloc(1 + Math.floor(chance() * most), random.hex(16))
  // Of a put that fails nobody may say what is there.
  expected.delete(key)
  const { version } = await store.put(key, body, { contentType: 'image/jpeg', metadata: { n: String(done.puts) } })
  expected.set(key, hashOf(body))
  if (version.length !== 32) faults.push(`put ${key} has version ${version}`)
  done.puts++
}

async function get(key: string): Promise<void> {
  const found = await store.get(key)
  const hash = found === undefined ? undefined : hashOf(await found.bytes())
  if (expected.has(key) && expected.get(key) !== hash) faults.push(`get ${key}: ${hash}, expected ${expected.get(key)}`)
  done.gets++
}

/** A cloud that was in trouble a moment ago is asked again after up to a minute: that a key was deleted is not answered without it. */
async function getInTime(key: string): Promise<void> {
  for (const end = Date.now() + 120_000; ; ) {
    try {
      return await get(key)
    } catch (error) {
      const mayBeAskedAgain = error instanceof HoldfastError && error.code === 'UNAVAILABLE' && Date.now() < end
      if (!mayBeAskedAgain) throw error
      await new Promise(resolve => setTimeout(resolve, 500))
    }
  }
}

async function remove(key: string): Promise<void> {
  expected.delete(key)
  await store.delete(key)
  expected.set(key, undefined)
  done.deletes++
}

async function list(): Promise<void> {
  for await (const entry of store.list({ prefix: 'photos/' })) if (entry.type !== 'object') faults.push('a prefix')
  done.lists++
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

const pace = setInterval(() => {
  if (!isLoading || inFlight >= mostInFlight) return
  for (let calls = perSecond / 20; calls > 0; calls--) {
    if (calls < 1 && chance() >= calls) break
    inFlight++
    one()
      .catch((error: unknown) => {
        // Nobody could answer, or there is no room: that is said, and is no fault.
        if (error instanceof HoldfastError && (error.code === 'UNAVAILABLE' || error.code === 'NO_SPACE'))
          done.refused++
        else faults.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
      })
      .finally(() => inFlight--)
  }
}, 50)

const telling = setInterval(() => {
  store
    .status()
    .then(({ pending, held, repairs }) => {
      const backlog = pending.writes
      tell({ kind: 'now', done: { ...done }, backlog, held: held.writes, repairs: repairs.writes, faults: [...faults] })
    })
    .catch((error: unknown) => faults.push(String(error)))
}, 500)

process.on('message', (message: Asked) => {
  const work = message === 'rest' ? rest() : end()
  work.catch((error: unknown) => tell({ kind: 'failed', message: String(error) }))
})

/** No more calls; everything drains, and everything is read once more. */
async function rest(): Promise<void> {
  isLoading = false
  await store.drain({ until: 'verified', signal: AbortSignal.timeout(120_000) })
  for (const key of expected.keys()) await getInTime(key)
  const found = await store.reconcile({ deep: true })
  const { missing, different, foreign, deleted, unknown } = found
  if (missing + different + foreign + deleted + unknown > 0)
    faults.push(`the clouds differ: ${JSON.stringify({ missing, different, foreign, deleted, unknown })}`)
  tell({ kind: 'rested', keys: expected.size, faults: [...faults] })
}

async function end(): Promise<void> {
  clearInterval(pace)
  clearInterval(telling)
  await store.close()
  process.disconnect()
}

// Whoever watched has gone.
process.once('disconnect', () => process.exit())
tell({ kind: 'ready' })
