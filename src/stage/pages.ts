/**
 * Bytes of a write to disk while a body arrives. A put holds two of these at most: one being written, one being filled. Digests of a page are
 * computed in the calling thread, so that longer ones would hold up everything else there for longer.
 */
export const pageBytes = 262_144

/** A body that is in memory already, and not longer, is one page: a write for each quarter of it costs more than it holds others up. */
export const longestPageBytes = 1_048_576

const lengths = [65_536, pageBytes, longestPageBytes] as const

/** Of each length. With half of it, 64 puts of 100 KiB or 16 of 1 MiB at a time asked for new ones again and again. */
const mostIdleBytes = 16_777_216

/**
 * Pages that nobody uses now. Getting as much memory from the system and giving it back costs more than filling it, and each time that
 * some MiB of it were asked for, the collector of JavaScript looks through all that is alive.
 */
const idle = lengths.map(length => ({ length, pages: [] as Uint8Array[] }))

/**
 * A page for so many bytes, of the shortest length that holds them, or the longest. What is in it are bytes of other bodies: only what was
 * filled may go on from here. Not from Node's pool, where secrets of others are.
 */
export function pageFor(bytes: number): Uint8Array {
  const { length, pages } = (idle.find(each => each.length >= bytes) ?? idle.at(-1)) as (typeof idle)[number]
  return pages.pop() ?? Buffer.allocUnsafeSlow(length)
}

/** For pages that nobody reads or writes any more, no disk among them. Those of other lengths are left to the collector. */
export function putBack(...pages: readonly (Uint8Array | undefined)[]): void {
  for (const page of pages) {
    const others = idle.find(({ length }) => length === page?.byteLength)
    if (page === undefined || others === undefined) continue
    if ((others.pages.length + 1) * others.length <= mostIdleBytes) others.pages.push(page)
  }
}
