import { join } from 'node:path'
import { compareKeys } from '../../core/key.ts'
import { decodeSegment, encodeSegment, hashOf, leafSuffix } from './names.ts'
import type { Place, Tree } from './tree.ts'

/** Which keys are wanted. `skip` may be changed on the way: keys that begin with it are left out from then on, directories unread. */
export interface Wanted {
  readonly prefix: string
  /** Keys after it. */
  readonly startAfter: string
  skip: string | undefined
}

interface Item {
  /** The key of a file; what all keys below a directory begin with. */
  readonly key: string
  readonly name: string
  readonly isFile: boolean
}

/**
 * The keys below a root in the order of their UTF-8 bytes, one directory in memory at a time and those above it. A directory sorts
 * as its name with the slash, which is where all keys below it are: `a`, `a-b`, `a/1`, `a0`.
 */
export async function* walk(tree: Tree, wanted: Wanted, signal: AbortSignal): AsyncIterable<Place> {
  const whole = wanted.prefix.split('/').slice(0, -1)
  const directories = whole.map(encodeSegment)
  if (!(await tree.isThere(directories, signal))) return
  yield* below(directories, whole.map(segment => `${segment}/`).join(''))

  async function* below(path: readonly string[], begin: string): AsyncIterable<Place> {
    for (const item of await itemsOf(path, begin)) {
      if (!isWanted(item)) continue
      if (!item.isFile) {
        yield* below([...path, item.name], item.key)
        continue
      }
      const directory = join(tree.root, ...path)
      yield { key: item.key, directories: path, directory, path: join(directory, item.name) }
    }
  }

  function isWanted({ key, isFile }: Item): boolean {
    const { prefix, startAfter, skip } = wanted
    if (!key.startsWith(prefix) && (isFile || !prefix.startsWith(key))) return false
    if (skip !== undefined && key.startsWith(skip)) return false
    return compareKeys(key, startAfter) > 0 || (!isFile && startAfter.startsWith(key))
  }

  async function itemsOf(path: readonly string[], begin: string): Promise<Item[]> {
    const { files, directories: inner } = await tree.names(join(tree.root, ...path), signal)
    const items: Item[] = []
    for (const name of files) {
      if (!name.endsWith(leafSuffix)) continue
      const segment = await segmentOf(name.slice(0, -leafSuffix.length), () => keyOf(path, name), path.length)
      if (segment !== undefined) items.push({ key: begin + segment, name, isFile: true })
    }
    for (const name of inner) {
      const segment = await segmentOf(name, () => anyKey([...path, name]), path.length)
      if (segment !== undefined) items.push({ key: `${begin}${segment}/`, name, isFile: false })
    }
    return items.sort((a, b) => compareKeys(a.key, b.key))
  }

  /** What the name stands for; where that is too long for a name, it is in the files themselves, which have their keys in them. */
  async function segmentOf(
    name: string,
    find: () => Promise<string | undefined>,
    depth: number,
  ): Promise<string | undefined> {
    const decoded = decodeSegment(name)
    if (decoded === undefined || 'segment' in decoded) return decoded?.segment
    const segment = (await find())?.split('/')[depth]
    return segment !== undefined && hashOf(segment) === decoded.hash ? segment : undefined
  }

  async function keyOf(path: readonly string[], name: string): Promise<string | undefined> {
    const directory = join(tree.root, ...path)
    const found = await tree.look({ key: '', directories: path, directory, path: join(directory, name) }, signal)
    if (found?.record.key === '') throw tree.damaged(join(directory, name))
    return found?.record.key
  }

  async function anyKey(path: readonly string[]): Promise<string | undefined> {
    const { files, directories: inner } = await tree.names(join(tree.root, ...path), signal)
    for (const name of files) {
      const key = name.endsWith(leafSuffix) ? await keyOf(path, name) : undefined
      if (key !== undefined) return key
    }
    for (const name of inner) {
      const key = await anyKey([...path, name])
      if (key !== undefined) return key
    }
    return undefined
  }
}
