import { expect } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import type { Provider } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { putOf } from './s3-recorder.ts'

/** A step that a provider is told to make, and whose request is looked at. */
export interface Call {
  readonly what: string
  run(provider: Provider, signal: AbortSignal): Promise<unknown>
}

/** All that a key may look like, and what is encoded in one place and not in another. */
export const keys: readonly string[] = [
  'plain.txt',
  'with space and  two',
  'a+b+c',
  "q'(u)*o!te",
  'ünï/ç日本/🎉.jpg',
  'é as two',
  'dir/..a/.b./...',
  '//double//slash/',
  '/leading',
  '%41%2F%zz',
  '?a=b&c#d;e',
  '~tilde_-.',
  ':@&=$,;|^`[]{}<>"\\',
  'x'.repeat(1_000),
  '日'.repeat(300),
]

const everything = {
  contentType: 'text/plain; charset=utf-8',
  cacheControl: 'max-age=60,  public',
  contentDisposition: 'attachment; filename="a  b.txt"',
  contentEncoding: 'gzip',
  contentLanguage: 'de-DE, en',
}
const metadata = { holdfast: '1;abc', holdfast_meta: 'packed', 'user-id': '7', 'z-last': 'a b c', a: '=%&' }

/** Each of them twice by the same provider gives the same request, whatever was asked before. */
export function callsOf(key: string): readonly Call[] {
  const put = (what: string, body: string | Uint8Array, more: Parameters<typeof putOf>[2] = {}): Call => ({
    what: `put ${what}`,
    run: (provider, signal) => provider.put(putOf(key, body, more), signal),
  })
  return [
    put('of a small body', 'hello'),
    put('of nothing', ''),
    put('with metadata and headers', 'hello', { metadata, headers: everything }),
    put('with tags and a class', 'hello', {
      features: { s3: { Tagging: 'a=1&b=%20', StorageClass: 'STANDARD', Expires: 'Mon, 21 Oct 2030 07:28:00 GMT' } },
    }),
    { what: 'head', run: (provider, signal) => provider.head(key, signal) },
    { what: 'get', run: (provider, signal) => readAll(provider, { start: 0, end: 5 }, key, signal) },
    { what: 'whole get', run: (provider, signal) => readAll(provider, undefined, key, signal) },
    { what: 'delete', run: (provider, signal) => provider.delete(key, undefined, signal) },
    put('where nothing is', 'hello', { condition: { absent: true } }),
    { what: 'delete again', run: (provider, signal) => provider.delete(key, undefined, signal) },
  ]
}

async function readAll(
  provider: Provider,
  range: { start: number; end: number } | undefined,
  key: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const found = await provider.get({ key, range, token: undefined }, signal)
  if (found === undefined) return undefined
  const chunks: Uint8Array[] = []
  for await (const chunk of found.body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** Sent as a stream. */
export const streamed: Call = {
  what: 'put of a stream',
  run(provider, signal) {
    const bytes = new Uint8Array(2_000_000).fill(7)
    const source = bytesSource(bytes, digestsOf(bytes))
    return provider.put({ ...putOf('streamed', ''), source }, signal)
  },
}

/** A real service takes all of them of both, and answers both the same, but for times. */
export async function expectSame(one: Provider, other: Provider, signal: AbortSignal): Promise<void> {
  for (const provider of [one, other]) await provider.learn(undefined, signal)
  for (const { what, run } of [...keys.filter(key => key.length < 500).flatMap(callsOf), streamed]) {
    const [ours, theirs] = [await run(one, signal), await run(other, signal)]
    const plain = (answer: unknown): unknown =>
      typeof answer === 'object' && answer !== null ? { ...answer, modifiedAt: 0, serverTime: 0 } : answer
    expect(plain(ours), what).toEqual(plain(theirs))
  }
}
