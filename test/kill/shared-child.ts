import { setTimeout as wait } from 'node:timers/promises'
import { providerOf } from '../../src/cli/spec.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { bodyFor } from './body.ts'
import type { Report } from './writer.ts'

/**
 * One of several processes on one directory, none of which replicates: puts, overwrites and deletes, and tells its parent of each only after the
 * promise resolved. Started with the directory, what the config file of the worker says of the providers, the number of this life and a seed.
 */
const [directory = '', primary = '', secondary = '', life = '0', seed = '0'] = process.argv.slice(2)

const say = (report: Report) => process.send?.(report)
process.on('disconnect', () => process.exit(1))

const store = await openHoldfast({
  directory,
  primary: providerOf(primary, 'primary', process.env),
  secondary: providerOf(secondary, 'secondary', process.env),
  replication: { run: 'external' },
})
say({ type: 'ready' })

const sizes = [0, 1, 4_096, 16_384, 16_385, 70_000]
let n = 0

async function write(i: number): Promise<void> {
  // A few keys that all processes write.
  const key = i % 3 === 2 ? `again/${i % 7}` : `once/${life}/${i}`
  if (i % 11 === 10) {
    const { version } = await store.delete(`again/${i % 7}`)
    return void say({ type: 'delete', key: `again/${i % 7}`, version })
  }
  const bodySeed = `${seed}-${life}-${i}`
  const size = sizes[i % sizes.length] ?? 0
  const { version } = await store.put(key, bodyFor(bodySeed, size), {
    contentType: 'application/x-kill',
    metadata: { seed: bodySeed },
  })
  say({ type: 'put', key, seed: bodySeed, size, version })
}

async function work(): Promise<void> {
  for (;;) {
    try {
      await write(n++)
    } catch (error) {
      const message = error instanceof HoldfastError ? `${error.code}: ${error.message}` : String(error)
      say({ type: 'failed', message })
    }
    // Not more than one worker can carry away in the time of a test.
    await wait(50)
  }
}

await Promise.all([work(), work(), work()])
