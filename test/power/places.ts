import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Provider } from '../../src/core/provider.ts'
import { fs } from '../../src/providers/fs.ts'

/** Two folders that stand for clouds, and are on no image. */
export async function newPlaces(at: string): Promise<string> {
  for (const name of ['a', 'b']) await mkdir(join(at, name), { recursive: true })
  return at
}

/** A cloud stays where it is, to a store, also where a test copies its folder. */
export function providersAt(places: string): [Provider, Provider] {
  const one = (name: string): Provider =>
    Object.create(fs({ root: join(places, name), name }), { location: { value: `fs:${name}` } }) as Provider
  return [one('a'), one('b')]
}
