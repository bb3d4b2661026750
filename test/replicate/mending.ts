import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestsOf } from '../../src/core/digest.ts'
import { entryName, writeEntry } from '../../src/core/entry.ts'
import type { HoldfastError } from '../../src/core/errors.ts'
import { guardProvider } from '../../src/core/guarded.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import type { Clock } from '../../src/core/ports.ts'
import { systemClock, systemRandom as random } from '../../src/core/system.ts'
import { newWriter, type Version } from '../../src/core/version.ts'
import type { Journal } from '../../src/journal/contract.ts'
import { openJournal } from '../../src/journal/sqlite.ts'
import { mend, type Repair, type Repaired, repairLimits } from '../../src/replicate/repair.ts'
import { type Replicator, startReplicator } from '../../src/replicate/replicator.ts'
import { openRoom } from '../../src/replicate/room.ts'
import { openDirectory } from '../../src/stage/directory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { openStage } from '../../src/stage/stage.ts'
import { checkDirectory } from '../support/directory.ts'

/** What `mend` works with: a journal and a stage on a real disk, and a replicator that is begun when the test wants. */
export interface Mending extends AsyncDisposable {
  readonly path: string
  readonly journal: Journal
  readonly mend: (repair: Repair, signal?: AbortSignal) => Promise<Repaired>
  /** Starts what sends repairs. */
  replicate(): void
  /** Writes that are repairs and not finished, and their bytes. */
  repairs(): { readonly writes: number; readonly bytes: number }
}

/** The providers have the ids 1, 2, … in this order. */
export async function mending(
  providers: readonly Provider[],
  options: {
    readonly maxStageBytes?: number
    readonly mirrorsForeign?: boolean
    readonly clock?: Clock
    /** Replication stopped. Default: thrown. */
    readonly failed?: (error: HoldfastError) => void
  } = {},
): Promise<Mending> {
  const { maxStageBytes = 100_000_000, mirrorsForeign = true, clock = systemClock } = options
  const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-mend-'))
  const directory = await openDirectory({ path: join(root, 'store'), kind: 'durable', disk: nodeDisk, random, clock })
  const { journal } = await openJournal({
    path: directory.path,
    directory: directory.identity,
    writer: newWriter(random),
    clock,
  })
  const groups = () => journal.counts().groups
  const stagedBytes = () => groups().reduce((sum, { bytes }) => sum + bytes, 0)
  const stage = openStage({ directory, random, clock, maxStageBytes, stagedBytes })
  const rows = await journal.register(providers.map(({ location, name }) => ({ location, name })))
  const guarded = new Map(
    providers.map((provider, index) => [rows[index]?.id ?? 0, guardProvider(provider, { clock, ...repairLimits })]),
  )
  const room = openRoom({ journal, clock, maxStageBytes })
  const mendOne = mend({ journal, stage, providers: guarded, room, maxStageBytes, clock, mirrorsForeign })
  let replicator: Replicator | undefined
  return {
    path: directory.path,
    journal,
    mend: (repair, signal = AbortSignal.timeout(20_000)) => mendOne(repair, signal),
    replicate() {
      replicator = startReplicator({
        journal,
        stage,
        providers: providers.map((provider, index) => ({ provider, row: rows[index] as (typeof rows)[number] })),
        sourceOf: ({ body, size, crc32c, md5 }) =>
          stage.source(body.in === 'none' ? { in: 'row', bytes: new Uint8Array() } : body, size, { crc32c, md5 }),
        adopt: () => Promise.reject(new Error('a repair adopts nothing')),
        clock,
        random,
        options: {
          holdMs: 0,
          maxHeldBytes: maxStageBytes,
          maxStageBytes,
          cacheBytes: 0,
          tombstoneDays: 30,
          uploads: { idleMs: 1e9 },
          foreign: 'adopt',
          concurrency: 8,
          maxRequestsPerSecond: undefined,
        },
        emit: () => {},
        failed:
          options.failed ??
          (error => {
            throw error
          }),
      })
    },
    repairs() {
      const own = groups().filter(({ origin, state }) => origin === 'repair' && state === 'open')
      return {
        writes: own.reduce((sum, { writes }) => sum + writes, 0),
        bytes: own.reduce((sum, { bytes }) => sum + bytes, 0),
      }
    },
    async [Symbol.asyncDispose]() {
      await replicator?.stop()
      await journal.close()
      await checkDirectory(directory.path)
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** Puts at the provider itself; with a version, as another node would have. */
export async function putAt(
  provider: Provider,
  key: string,
  body: string | Uint8Array,
  options: { readonly version?: Version; readonly metadata?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  const { version, metadata = {} } = options
  const bytes = Buffer.from(body)
  const digests = digestsOf(bytes)
  const entry = { size: bytes.byteLength, crc32c: digests.crc32c, etag: digests.md5, partSize: undefined }
  await provider.put(
    {
      key,
      source: bytesSource(bytes, digests),
      headers: { contentType: 'text/plain', cacheControl: 'max-age=60' },
      metadata: version === undefined ? metadata : { ...metadata, [entryName]: writeEntry(key, { version, ...entry }) },
      condition: undefined,
      upload: noMemo,
    },
    AbortSignal.timeout(5_000),
  )
}

export async function headAt(provider: Provider, key: string) {
  return provider.head(key, AbortSignal.timeout(5_000))
}
