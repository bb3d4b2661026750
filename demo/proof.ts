import { createHash } from 'node:crypto'
import type { Provider } from '../src/index.ts'
import type { DemoFile } from './files.ts'
import { differenceOf } from './ledger.ts'

/** One cloud, asked past Holdfast. */
export interface Proof {
  readonly provider: string
  readonly right: number
  /** Objects that are missing or not what was put. */
  readonly wrong: readonly { readonly key: string; readonly difference: string }[]
}

const atOnce = 6
const patienceMs = 20_000

/** Reads every file's object whole from this cloud and compares bytes, content type and metadata. `seen` is called after each. */
export async function prove(provider: Provider, files: Iterable<DemoFile>, seen: () => void): Promise<Proof> {
  const wrong: { key: string; difference: string }[] = []
  let right = 0
  const left = files[Symbol.iterator]()
  const work = async () => {
    // Workers share one iterator: each takes the next that nobody took.
    for (let next = left.next(); next.done !== true; next = left.next()) {
      const difference = await compare(provider, next.value).catch(
        (error: unknown) => `cannot be read: ${String(error)}`,
      )
      if (difference === undefined) right++
      else wrong.push({ key: next.value.key, difference })
      seen()
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return { provider: provider.name, right, wrong }
}

async function compare(provider: Provider, file: DemoFile): Promise<string | undefined> {
  const signal = AbortSignal.timeout(patienceMs)
  const found = await provider.get({ key: file.key, range: undefined, token: undefined }, signal)
  if (found === undefined) return 'is missing'
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of found.body) {
    hash.update(chunk)
    size += chunk.byteLength
  }
  const { headers, metadata } = found.object
  return differenceOf(file, { size, sha256: hash.digest('hex'), contentType: headers.contentType, metadata })
}
