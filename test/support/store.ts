import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Provider } from '../../src/core/provider.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import type { HoldfastOptions } from '../../src/holdfast/options.ts'
import { checkDirectory } from './directory.ts'

/** A directory of its own for one test, on a real disk. Checked whole and removed when its scope ends. */
export interface TestDirectory extends AsyncDisposable {
  readonly path: string
  /** Opens a store in it; closed when the scope ends, if it is still open. */
  open(providers: readonly [Provider, Provider, ...Provider[]], options?: Partial<HoldfastOptions>): Promise<Holdfast>
}

export async function testDirectory(options: { readonly orphans?: 'allowed' } = {}): Promise<TestDirectory> {
  const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-test-'))
  const path = join(root, 'store')
  const stores: Holdfast[] = []
  return {
    path,
    async open([primary, secondary, ...mirrors], more = {}) {
      const store = await openHoldfast({ directory: path, primary, secondary, mirrors, holdMs: 0, ...more })
      stores.push(store)
      return store
    },
    async [Symbol.asyncDispose]() {
      for (const store of stores) await store.close()
      if (stores.length > 0) await checkDirectory(path, options)
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** All keys of a provider but our own. */
export async function keysOf(provider: Provider): Promise<string[]> {
  const keys: string[] = []
  for await (const entry of provider.list({ prefix: '', delimiter: '', startAfter: '' }, AbortSignal.timeout(30_000)))
    if (entry.type === 'object' && !entry.key.startsWith('.holdfast/')) keys.push(entry.key)
  return keys
}

/** The whole body under a key at a provider, or undefined. */
export async function bodyAt(provider: Provider, key: string): Promise<Buffer | undefined> {
  const answer = await provider.get({ key, range: undefined, token: undefined }, AbortSignal.timeout(30_000))
  if (answer === undefined) return undefined
  const chunks: Uint8Array[] = []
  for await (const chunk of answer.body) chunks.push(Uint8Array.from(chunk))
  return Buffer.concat(chunks)
}

/** Resolves when local disk has given up a write of this key that is not done yet: from then on the providers are asked. Call it before the write. */
export function releaseOf(store: Holdfast, key: string): Promise<void> {
  return new Promise(resolve => {
    const stop = store.on('released', released => {
      if (released.key !== key) return
      stop()
      resolve()
    })
  })
}

/** Waits until it is so, looking every few milliseconds; rejects with what was last thrown or seen after `ms`. */
export async function eventually<T>(look: () => T | Promise<T>, ms = 10_000): Promise<NonNullable<T>> {
  const end = Date.now() + ms
  for (;;) {
    try {
      const answer = await look()
      if (answer !== undefined && answer !== null && answer !== false) return answer as NonNullable<T>
      if (Date.now() > end) throw new Error('it never came to be')
    } catch (error) {
      if (Date.now() > end) throw error
    }
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
