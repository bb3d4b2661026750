import { digestsOf } from '../../core/digest.ts'
import type { Clock } from '../../core/ports.ts'
import { bytesSource, type Source } from '../../core/source.ts'
import { unlessAborted, untilAborted } from '../../core/abort.ts'

/** What happens at some place of a stream: throws, waits for ever, or resolves, which ends it there. */
export type Break = () => Promise<void>

/** The same chunks until so many bytes have come, then what `at` does. Shorter streams are left alone. */
export async function* brokenBytes(
  chunks: AsyncIterable<Uint8Array>,
  after: number,
  at: Break,
): AsyncIterable<Uint8Array> {
  let left = after
  for await (const chunk of chunks) {
    if (chunk.byteLength <= left) {
      yield chunk
      left -= chunk.byteLength
      continue
    }
    if (left > 0) yield chunk.subarray(0, left)
    return await at()
  }
}

/** The same items until so many have come, then what `at` does. */
export async function* brokenItems<T>(items: AsyncIterable<T>, after: number, at: Break): AsyncIterable<T> {
  let count = 0
  for await (const item of items) {
    if (count++ >= after) return await at()
    yield item
  }
}

/** A source whose every reading breaks at this byte of the whole. */
export function brokenSource(source: Source, after: number, at: Break): Source {
  return { ...source, open: (start, end) => brokenBytes(source.open(start, end), Math.max(0, after - start), at) }
}

/** The whole source in memory, the lowest bit of one byte flipped where that is asked for, with digests to fit. */
export async function keptSource(source: Source, signal: AbortSignal, flipByte?: number): Promise<Source> {
  const chunks: Uint8Array[] = []
  for await (const chunk of untilAborted(source.open(0, source.size), signal)) chunks.push(Uint8Array.from(chunk))
  const bytes = Buffer.concat(chunks)
  if (flipByte === undefined || flipByte >= bytes.byteLength) return bytesSource(bytes, source)
  flip(bytes, flipByte)
  return bytesSource(bytes, digestsOf(bytes))
}

/** The same bytes but for the lowest bit of one. */
export async function* flipped(chunks: AsyncIterable<Uint8Array>, atByte: number): AsyncIterable<Uint8Array> {
  let start = 0
  for await (const chunk of chunks) {
    const at = atByte - start
    start += chunk.byteLength
    if (at < 0 || at >= chunk.byteLength) {
      yield chunk
      continue
    }
    const copy = Uint8Array.from(chunk)
    flip(copy, at)
    yield copy
  }
}

function flip(bytes: Uint8Array, at: number): void {
  bytes[at] = (bytes[at] as number) ^ 1
}

/** The same bytes, few at a time, with a rest before each. */
export async function* dripping(
  chunks: AsyncIterable<Uint8Array>,
  bytes: number,
  rest: () => Promise<void>,
): AsyncIterable<Uint8Array> {
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.byteLength; at += bytes) {
      await rest()
      yield chunk.subarray(at, at + bytes)
    }
  }
}

/** Rejects when the signal aborts, and never before. */
export function silence(signal: AbortSignal): Promise<never> {
  return unlessAborted(new Promise<never>(() => {}), signal)
}

/** Runs it this much later, whatever has become of the caller. Resolves when that is over. */
export async function muchLater(
  clock: Clock,
  ms: number,
  run: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  await clock.sleep(ms)
  await run(new AbortController().signal).catch(() => {})
}
