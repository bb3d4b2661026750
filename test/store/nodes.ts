import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestsOf } from '../../src/core/digest.ts'
import { entryName, writeEntry } from '../../src/core/entry.ts'
import type { Clock } from '../../src/core/ports.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openWith } from '../../src/holdfast/open.ts'
import type { HoldfastOptions } from '../../src/holdfast/options.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { seededRandom } from '../../src/testing/clock.ts'
import { skewed, worldClock } from '../converge/clock.ts'
import { checkDirectory } from '../support/directory.ts'

export const dayMs = 86_400_000
export const holdMs = 120_000

/** A machine with a directory of its own. Its process stands still, as if it were suspended, while only others are given time. */
export interface Node {
  readonly clock: Clock
  /** Throws while it is closed. */
  readonly store: Holdfast
  open(providers: readonly [Provider, Provider, ...Provider[]], options?: Partial<HoldfastOptions>): Promise<Holdfast>
  close(): Promise<void>
  advance(ms: number): Promise<void>
}

/** Machines and services that share one wall clock, turned by hand. */
export interface Nodes extends AsyncDisposable {
  /** Of the services, and of whoever has no clock of its own. */
  readonly clock: Clock
  node(options?: { readonly aheadMs?: number }): Node
  /** Time passes for everybody, and these run meanwhile. */
  pass(ms: number, ...running: readonly Node[]): Promise<void>
  /** Days pass; these run for a few minutes every 20 days, so that nobody counts as away. */
  passDays(days: number, ...running: readonly Node[]): Promise<void>
}

const stepMs = 30_000

export async function nodes(): Promise<Nodes> {
  const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-nodes-'))
  let wallMs = Date.UTC(2026, 0, 1)
  let seed = 1
  const all: Node[] = []
  const own = worldClock()

  async function pass(ms: number, ...running: readonly Node[]): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      const step = Math.min(left, stepMs)
      wallMs += step
      for (const node of running) await node.advance(step)
    }
  }

  return {
    clock: { ...skewed(own, 0), now: () => wallMs },
    node({ aheadMs = 0 } = {}) {
      const directory = join(root, String(all.length))
      const time = worldClock()
      const clock: Clock = { ...skewed(time, 0), now: () => wallMs + aheadMs }
      let store: Holdfast | undefined
      const node: Node = {
        clock,
        get store() {
          if (store === undefined) throw new Error('this node is closed')
          return store
        },
        async open([primary, secondary, ...mirrors], options = {}) {
          const ports = { clock, disk: nodeDisk, random: seededRandom(seed++) }
          store = await openWith({ directory, primary, secondary, mirrors, holdMs, ...options }, ports)
          await time.advance(1_000)
          return store
        },
        async close() {
          const closed = store?.close()
          store = undefined
          await time.advance(1_000)
          await closed
          await checkDirectory(directory)
        },
        advance: ms => time.advance(ms),
      }
      all.push(node)
      return node
    },
    pass,
    async passDays(days, ...running) {
      for (let left = days; left > 0; left -= 20) {
        wallMs += Math.min(left, 20) * dayMs
        await pass(5 * 60_000, ...running)
      }
    },
    async [Symbol.asyncDispose]() {
      for (const node of all) await node.close().catch(() => {})
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** Writes past Holdfast; with a version, as another node would. */
export async function putPast(provider: Provider, key: string, text: string, version?: string): Promise<void> {
  const bytes = Buffer.from(text)
  const digests = digestsOf(bytes)
  const entry = { size: bytes.byteLength, crc32c: digests.crc32c, etag: digests.md5, partSize: undefined }
  const metadata = version === undefined ? {} : { [entryName]: writeEntry(key, { version, ...entry }) }
  const source = bytesSource(bytes, digests)
  const headers = { contentType: 'text/plain' }
  await provider.put(
    { key, source, headers, metadata, condition: undefined, upload: noMemo },
    AbortSignal.timeout(5_000),
  )
}

/** What a tool of the provider does: a copy with all metadata. Answers how to do it again later, from what was there now. */
export async function copier(provider: Provider, from: string): Promise<(to: string) => Promise<void>> {
  const signal = AbortSignal.timeout(30_000)
  const answer = await provider.get({ key: from, range: undefined, token: undefined }, signal)
  if (answer === undefined) throw new Error(`there is no ${from}`)
  const chunks: Uint8Array[] = []
  for await (const chunk of answer.body) chunks.push(Uint8Array.from(chunk))
  const bytes = Buffer.concat(chunks)
  const { headers, metadata } = answer.object
  const source = bytesSource(bytes, digestsOf(bytes))
  return async key => {
    await provider.put({ key, source, headers, metadata, condition: undefined, upload: noMemo }, signal)
  }
}
