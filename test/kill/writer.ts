import { setTimeout as wait } from 'node:timers/promises'
import { HoldfastError } from '../../src/core/errors.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { bodyFor } from './body.ts'
import { type Clouds, providersOf } from '../support/clouds.ts'

/**
 * The process that the kill test kills: puts, overwrites and deletes as fast as it can, and tells its parent of each only after the promise
 * resolved. Started with the directory, the clouds and the number of this life.
 */
const [directory = '', clouds = '', life = '0', seed = '0'] = process.argv.slice(2)

export type Report =
  | { readonly type: 'ready' }
  | {
      readonly type: 'put'
      readonly key: string
      readonly seed: string
      readonly size: number
      readonly version: string
    }
  | { readonly type: 'delete'; readonly key: string; readonly version: string }
  | { readonly type: 'drained' }
  | { readonly type: 'failed'; readonly message: string }

const say = (report: Report) => process.send?.(report)
process.on('disconnect', () => process.exit(1))

const [primary, secondary] = providersOf(JSON.parse(clouds) as Clouds)
const store = await openHoldfast({ directory, primary, secondary, holdMs: 500 })
say({ type: 'ready' })

const drainOnly = life === 'last'
if (drainOnly) {
  await store.drain({ until: 'verified' })
  say({ type: 'drained' })
  await store.close()
  process.disconnect()
} else {
  let n = 0
  const sizes = [0, 1, 4_096, 16_384, 16_385, 70_000, 300_000]
  const work = async (worker: number) => {
    for (;;) {
      const i = n++
      const overwritten = i % 5 === 4
      const key = overwritten ? `again/${worker}` : `once/${life}/${i}`
      try {
        if (i % 17 === 16) {
          const { version } = await store.delete(`again/${worker}`)
          say({ type: 'delete', key: `again/${worker}`, version })
          continue
        }
        const bodySeed = `${seed}-${life}-${i}`
        const size = sizes[i % sizes.length] ?? 0
        const { version } = await store.put(key, bodyFor(bodySeed, size), {
          contentType: 'application/x-kill',
          metadata: { seed: bodySeed },
        })
        say({ type: 'put', key, seed: bodySeed, size, version })
      } catch (error) {
        say({
          type: 'failed',
          message: error instanceof HoldfastError ? `${error.code}: ${error.message}` : String(error),
        })
      }
      // Not more than two local clouds on two cores can drain in the time of a test.
      await wait(5)
    }
  }
  await Promise.all(Array.from({ length: 8 }, (_, worker) => work(worker)))
}
