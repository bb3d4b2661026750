import { unpackMetadata } from '../../src/core/attributes.ts'
import { recognise } from '../../src/core/entry.ts'
import { markerAt } from '../../src/core/marker.ts'
import type { Provider } from '../../src/core/provider.ts'
import { bodyFor } from './body.ts'
import type { Report } from './writer.ts'

/** What the parent was told: per key the newest write that was reported. */
export interface Reported {
  readonly version: string
  readonly seed: string | undefined
  readonly size: number
}

/** Of two reports of a key the newer version counts, in whatever order they came. */
export function remember(reported: Map<string, Reported>, report: Report): void {
  if (report.type !== 'put' && report.type !== 'delete') return
  const known = reported.get(report.key)
  if (known !== undefined && known.version > report.version) return
  reported.set(report.key, {
    version: report.version,
    seed: report.type === 'put' ? report.seed : undefined,
    size: report.type === 'put' ? report.size : 0,
  })
}

/** Everything reported, compared at one provider: bytes, attributes, version. A newer write than the last that was reported may be there. */
export async function countLost(provider: Provider, reported: ReadonlyMap<string, Reported>): Promise<number> {
  let lost = 0
  const check = async ([key, { version, seed, size }]: [string, Reported]) => {
    const answer = await provider.get({ key, range: undefined, token: undefined }, AbortSignal.timeout(30_000))
    const found = answer === undefined ? undefined : recognise(answer.object)
    const metadata = answer === undefined ? {} : unpackMetadata(answer.object.metadata)
    const chunks: Uint8Array[] = []
    if (answer !== undefined) for await (const chunk of answer.body) chunks.push(Uint8Array.from(chunk))
    const body = Buffer.concat(chunks)
    // A newer write may have been accepted by a process that was killed before it could say so: a put, or a delete and its marker.
    const marker = answer === undefined ? await markerAt(provider, key, AbortSignal.timeout(30_000)) : undefined
    const isNewer = (found?.version ?? marker?.version ?? '') > version
    const isWhole = () => found === undefined || body.equals(bodyFor(metadata['seed'] ?? '', body.byteLength))
    const isReported = () =>
      found?.version === version &&
      metadata['seed'] === seed &&
      answer?.object.headers.contentType === 'application/x-kill' &&
      body.equals(bodyFor(seed ?? '', size))
    const isRight = isNewer ? isWhole() : seed === undefined ? found === undefined : isReported()
    if (isRight) return
    lost++
    console.log(`lost at ${provider.name}: ${key}, reported ${version}, found ${found?.version ?? 'nothing'}`)
  }
  const entries = [...reported]
  while (entries.length > 0) await Promise.all(entries.splice(0, 16).map(check))
  return lost
}
