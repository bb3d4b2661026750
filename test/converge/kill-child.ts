import { randomInt } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/provider.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { azure } from '../../src/providers/azure.ts'
import { bodyFor } from '../kill/body.ts'
import { type Clouds, providersOf } from '../support/clouds.ts'

/**
 * A process that the kill test kills: puts, deletes and reads a few keys that all others write too, and tells its parent of each write only after
 * the promise resolved. Or, when nobody is killed any more, drains its directory, or reconciles.
 */
export type Duty = 'work' | 'drain' | 'reconcile'

export interface Places extends Clouds {
  readonly azure: { readonly connectionString: string }
}

export type Told =
  | { readonly type: 'ready' }
  | {
      readonly type: 'write'
      readonly key: string
      readonly version: string
      /** Of its body; `undefined`: a delete. */
      readonly seed: string | undefined
    }
  | { readonly type: 'read' }
  | { readonly type: 'reconciled'; readonly queued: number; readonly left: number }
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly message: string }

export const container = 'photos'
export const sizes: readonly number[] = [0, 1, 4_096, 16_384, 16_385, 70_000]
const keys = 12

/** S3 first: it decides what is conditional, and its tokens are digests. */
export function threeProviders(places: Places): [Provider, Provider, Provider] {
  const [first, second] = providersOf(places)
  return [first, second, azure({ container, name: 'azure', connectionString: places.azure.connectionString })]
}

if (process.send !== undefined && process.argv[1] === import.meta.filename) {
  const [directory = '', places = '{}', duty = 'work', life = '0'] = process.argv.slice(2)
  await live(directory, JSON.parse(places) as Places, duty as Duty, life)
}

async function live(directory: string, places: Places, duty: Duty, life: string): Promise<void> {
  const say = (told: Told) => process.send?.(told)
  process.on('disconnect', () => process.exit(1))
  const [primary, secondary, mirror] = threeProviders(places)
  await using store = await openHoldfast({ directory, primary, secondary, mirrors: [mirror], holdMs: 3_000 })
  say({ type: 'ready' })
  try {
    if (duty === 'work') await Promise.all([0, 1, 2].map(worker => work(store, `${life}-${worker}`, say)))
    if (duty === 'reconcile') {
      const { queued } = await store.reconcile({ repair: true, confirm: true })
      await store.drain({ until: 'verified' })
      const { missing, different, foreign, deleted, unknown } = await store.reconcile({ attributes: true })
      say({ type: 'reconciled', queued, left: missing + different + foreign + deleted + unknown })
    }
    await store.drain({ until: 'verified' })
    say({ type: 'done' })
  } catch (error) {
    say({ type: 'failed', message: String(error) })
  }
  await store.close()
  process.disconnect()
}

/** Until it is killed. What it acknowledged itself it must read back, or something newer. */
async function work(store: Holdfast, name: string, say: (told: Told) => void): Promise<void> {
  const knew = new Map<string, string>()
  for (let call = 0; ; call++) {
    const key = `k/${randomInt(keys)}`
    const kind = randomInt(10)
    const seed = `${name}-${call}`
    try {
      if (kind < 3) await read(store, key, knew, say)
      else {
        const size = sizes[call % sizes.length] ?? 0
        const { version } =
          kind < 5
            ? await store.delete(key)
            : await store.put(key, bodyFor(seed, size), { contentType: 'application/x-kill', metadata: { seed } })
        knew.set(key, version)
        say({ type: 'write', key, version, seed: kind < 5 ? undefined : seed })
      }
    } catch (error) {
      // That nobody can tell just now is an answer.
      if (!(error instanceof HoldfastError) || error.code !== 'UNAVAILABLE')
        say({ type: 'failed', message: `${key}: ${String(error)}` })
    }
    await wait(30)
  }
}

async function read(store: Holdfast, key: string, knew: Map<string, string>, say: (told: Told) => void): Promise<void> {
  const least = knew.get(key) ?? ''
  const found = await store.get(key)
  if (found === undefined) return say({ type: 'read' })
  const bytes = await found.bytes()
  const { version, metadata } = found.info
  if (version < least) say({ type: 'failed', message: `${key}: read ${version}, acknowledged ${least} (I23)` })
  if (!bodyFor(metadata['seed'] ?? '', bytes.byteLength).equals(bytes))
    say({ type: 'failed', message: `${key}: the body of ${version} is not its own (I24)` })
  say({ type: 'read' })
}
