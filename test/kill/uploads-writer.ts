import { setTimeout as wait } from 'node:timers/promises'
import { HoldfastError } from '../../src/core/errors.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { type Clouds, providersOf } from '../support/clouds.ts'
import { bodyFor } from './body.ts'

/**
 * The process that the kill test of uploads kills: begins uploads and goes on with those of its earlier lives, and tells its parent what it is about
 * to do and, only after a promise resolved, what it did. Started with the directory, the clouds, the number of this life and a seed.
 */
const [directory = '', clouds = '', life = '0', seed = '0'] = process.argv.slice(2)

export type Report =
  /** What this life found. */
  | { readonly type: 'found'; readonly id: string; readonly parts: Readonly<Record<number, string>> }
  | { readonly type: 'ready' }
  | { readonly type: 'begun'; readonly id: string; readonly key: string }
  | { readonly type: 'part'; readonly id: string; readonly number: number; readonly etag: string }
  | { readonly type: 'ending'; readonly id: string }
  | { readonly type: 'aborted'; readonly id: string }
  | { readonly type: 'completed'; readonly id: string; readonly etag: string; readonly version: string }
  | { readonly type: 'drained' }
  | { readonly type: 'failed'; readonly message: string }

const say = (report: Report) => process.send?.(report)
process.on('disconnect', () => process.exit(1))

/** Of every upload, so that any life can go on with it. */
export const partSizes: readonly number[] = [40_000, 16_384, 40_000, 0, 1]

/** What part of which upload this is can be told from its bytes. */
export function partOf(key: string, number: number): Buffer {
  return bodyFor(`${key}-${number}`, partSizes[number - 1] ?? 0)
}

async function run(): Promise<void> {
  const [primary, secondary] = providersOf(JSON.parse(clouds) as Clouds)
  const store = await openHoldfast({ directory, primary, secondary, holdMs: 300 })
  const { uploads } = store
  const open = [...(await uploads.list())]
  for (const { id } of open) {
    const parts = (await uploads.get(id))?.parts ?? []
    say({ type: 'found', id, parts: Object.fromEntries(parts.map(({ number, etag }) => [number, etag])) })
  }
  say({ type: 'ready' })
  if (life === 'last') {
    for (const { id } of open) await uploads.abort(id)
    await store.drain({ until: 'verified' })
    while ((await store.status()).stage.bytes > 0) await wait(20)
    say({ type: 'drained' })
    await store.close()
    process.disconnect()
    return
  }

  let n = 0
  async function next(): Promise<{ id: string; key: string }> {
    const old = open.pop()
    if (old !== undefined) return old
    const i = n++
    const key = i % 4 === 3 ? `again/${i % 8}` : `once/${life}/${i}`
    const upload = await uploads.create(key, { contentType: 'application/x-kill', metadata: { seed } })
    say({ type: 'begun', id: upload.id, key })
    return upload
  }
  async function work(): Promise<void> {
    for (;;) {
      try {
        const { id, key } = await next()
        // Last part first, and some of them twice.
        for (const number of [5, 1, 2, 2, 4, 3]) {
          const { etag } = await uploads.putPart(id, number, partOf(key, number))
          say({ type: 'part', id, number, etag })
        }
        say({ type: 'ending', id })
        if (n % 7 === 6) {
          await uploads.abort(id)
          say({ type: 'aborted', id })
        } else {
          const { etag, version } = await uploads.complete(
            id,
            partSizes.map((_, index) => ({ number: index + 1 })),
          )
          say({ type: 'completed', id, etag, version })
        }
      } catch (error) {
        const message = error instanceof HoldfastError ? `${error.code}: ${error.message}` : String(error)
        say({ type: 'failed', message })
      }
      await wait(5)
    }
  }
  await Promise.all([work(), work(), work(), work()])
}

// The test imports what is above, too.
if (process.argv[1] === import.meta.filename) await run()
