import { expect } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { memory } from '../../src/providers/memory.ts'
import { bodyFor } from '../kill/body.ts'
import { bodyAt, keysOf } from '../support/store.ts'

/** What an app was promised: per key the size of the body that its own name makes, `undefined` of a delete. */
export type Promised = Map<string, number | undefined>

/** Puts until one is refused; answers with what refused it. */
export async function putUntilRefused(
  store: Holdfast,
  promised: Promised,
  name: string,
  size: number,
): Promise<unknown> {
  for (let n = 0; ; n++) {
    const key = `${name}/${n}`
    try {
      await store.put(key, bodyFor(key, size))
      promised.set(key, size)
    } catch (error) {
      return error
    }
  }
}

/** Two providers in memory. */
export function twoClouds(): { readonly providers: readonly [Provider, Provider] } {
  return { providers: [memory({ name: 'a' }), memory({ name: 'b' })] }
}

/** That each promise is what a read gives. */
export async function expectServed(store: Holdfast, promised: Promised): Promise<void> {
  for (const [key, size] of promised) {
    const bytes = await (await store.get(key))?.bytes()
    if (size === undefined) expect(bytes, key).toBeUndefined()
    else expect(Buffer.from(bytes ?? []).equals(bodyFor(key, size)), key).toBe(true)
  }
}

/** That both providers have what was promised, and nothing else. */
export async function expectAtBoth(providers: readonly Provider[], promised: Promised): Promise<void> {
  const wanted = [...promised].flatMap(([key, size]) => (size === undefined ? [] : [key])).toSorted()
  for (const provider of providers) {
    expect((await keysOf(provider)).toSorted()).toEqual(wanted)
    for (const key of wanted)
      expect((await bodyAt(provider, key))?.equals(bodyFor(key, promised.get(key) ?? 0)), key).toBe(true)
  }
}
