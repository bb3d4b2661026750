import { compareKeys } from '../../core/key.ts'

/** Something with a name in a listing. */
interface Named {
  readonly name: string
}

/** How many names may be held back at most. */
const mostHeld = 50_000

/**
 * Names that come in the order of UTF-16 units, as Azure lists them (measured with every character there is:
 * https://github.com/blobfile/blobfile/pull/238), leave in the order of UTF-8 bytes. So do names that come in that order already.
 *
 * The two orders differ where a character beyond U+FFFF (an emoji, say) meets one from U+E000 to U+FFFF: the units of the first,
 * surrogates, are smaller, its bytes greater. A name without surrogates can go at once: nothing that comes later sorts before it. One
 * with surrogates waits until a name comes that does not begin with what it has before the first of them: only names that begin so
 * could still have to go before it.
 *
 * At most 50,000 names wait. When there are more, they go: then a name that would have had to go before them comes out after them, and
 * whoever checks the order sees that.
 */
export async function* inByteOrder<Item extends Named>(items: AsyncIterable<Item>): AsyncIterable<Item> {
  /** What waits, by what its names begin with. The last name began with all of these, so each of them begins with the one before. */
  const groups: { readonly beginning: string; readonly items: Item[] }[] = []
  let held = 0

  function released(count: number): Item[] {
    const free = groups.splice(groups.length - count).flatMap(group => group.items)
    held -= free.length
    return free.sort((a, b) => compareKeys(a.name, b.name))
  }

  for await (const item of items) {
    const { name } = item
    const ended = groups.filter(({ beginning }) => !name.startsWith(beginning)).length
    if (ended > 0) yield* released(ended)
    const at = name.search(/[\ud800-\udfff]/)
    if (at < 0) {
      yield item
      continue
    }
    const beginning = name.slice(0, at)
    const last = groups.at(-1)
    if (last?.beginning === beginning) last.items.push(item)
    else groups.push({ beginning, items: [item] })
    held += 1
    if (held >= mostHeld) yield* released(groups.length)
  }
  yield* released(groups.length)
}
