import { createHash, type Hash } from 'node:crypto'

/**
 * How the app uploaded an object, as far as it shows: S3 says it in the ETag, and gives parts back by number. A driver that can store
 * the same parts makes its service say the same.
 */
export interface Layout {
  /** As S3 would say it: MD5 in hex, or `hex-N` of what came in N parts (the MD5 of the parts' MD5s). */
  readonly etag: string
  /** The parts in order, as runs of equal ones; one run of one part for what came in one piece; none where nobody knows any more. */
  readonly parts: readonly PartRun[]
}

/** So many parts one after the other, all of so many bytes. */
export interface PartRun {
  /** How many parts. */
  readonly count: number
  /** Of each. */
  readonly bytes: number
}

/** Runs of equal sizes, for sizes in order. */
export function runsOf(sizes: Iterable<number>): readonly PartRun[] {
  const runs: { count: number; bytes: number }[] = []
  for (const bytes of sizes) {
    const last = runs.at(-1)
    if (last?.bytes === bytes) last.count++
    else runs.push({ count: 1, bytes })
  }
  return runs
}

/** Where each part begins and ends, in order: start <= byte < end. */
export function* pieces(runs: readonly PartRun[]): Iterable<{ readonly start: number; readonly end: number }> {
  let start = 0
  for (const { count, bytes } of runs) {
    for (let i = 0; i < count; i++, start += bytes) yield { start, end: start + bytes }
  }
}

/**
 * Bytes of every part but the last, which may be shorter; 0 where they differ; `undefined` for what came in one piece. What an object's
 * `holdfast` entry says of its layout.
 */
export function partSizeOf({ etag, parts }: Layout): number | undefined {
  if (!etag.includes('-')) return undefined
  const [first, last, ...more] = parts
  if (first === undefined || more.length > 0) return 0
  if (last === undefined) return first.bytes
  return last.count === 1 && last.bytes < first.bytes ? first.bytes : 0
}

/** The layout that an entry tells of: no parts where they differ, or are not as many as the ETag says (if it says). */
export function layoutOf(etag: string, size: number, partSize: number | undefined): Layout {
  if (partSize === undefined) return { etag, parts: [{ count: 1, bytes: size }] }
  if (partSize === 0) return { etag, parts: etag.endsWith('-1') ? [{ count: 1, bytes: size }] : [] }
  const whole = Math.floor(size / partSize)
  const rest = size - whole * partSize
  const runs: PartRun[] = []
  if (whole > 0) runs.push({ count: whole, bytes: partSize })
  const count = Number(/-(\d+)$/.exec(etag)?.[1] ?? Math.max(1, Math.ceil(size / partSize)))
  // The last one may be empty.
  if (rest > 0 || count > whole) runs.push({ count: 1, bytes: rest })
  return { etag, parts: runs.reduce((sum, run) => sum + run.count, 0) === count ? runs : [] }
}

/** Of one object at most, and the highest number of one (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html). */
export const mostParts = 10_000

/** As S3 says it of an object in parts: the MD5 of the parts' MD5s (hex, in order), and how many. */
export function etagOfParts(md5s: readonly string[]): string {
  const all = createHash('md5')
  for (const md5 of md5s) all.update(Buffer.from(md5, 'hex'))
  return `${all.digest('hex')}-${md5s.length}`
}

/** The ETag that S3 would give to bytes that were uploaded in these parts, in one pass over them. */
export function partsDigester(runs: readonly PartRun[]): {
  update(bytes: Uint8Array): void
  /** Call once, at the end. What is missing of the last part is taken for its end; what is left over, for nothing. */
  etag(): string
} {
  const md5s: string[] = []
  const rest = pieces(runs)[Symbol.iterator]()
  let part: { readonly md5: Hash; left: number } | undefined
  const begin = (): void => {
    const step = rest.next()
    part = step.done === true ? undefined : { md5: createHash('md5'), left: step.value.end - step.value.start }
  }
  const end = (): void => {
    if (part !== undefined) md5s.push(part.md5.digest('hex'))
    begin()
  }
  begin()
  return {
    update(bytes) {
      for (let at = 0; at < bytes.byteLength && part !== undefined; ) {
        const piece = bytes.subarray(at, at + part.left)
        part.md5.update(piece)
        part.left -= piece.byteLength
        at += piece.byteLength
        if (part.left === 0) end()
      }
    },
    etag() {
      if (part !== undefined) end()
      return etagOfParts(md5s)
    },
  }
}
