import type { Database } from 'better-sqlite3'
import type { Version } from '../core/version.ts'
import {
  type BlockedGroup,
  type CountGroup,
  type Counts,
  type DueQuery,
  type KeyView,
  type OpenKey,
  type ProviderRow,
  type Releasable,
  type Task,
  type WriteRow,
  refusedKeptMs,
} from './contract.ts'
import type { BodyPart, UploadedPart, UploadRow } from './upload-contract.ts'
import { bit, bitsOf } from './masks.ts'
import type { PartRecord } from './parts.ts'
import {
  asCached,
  asKept,
  asProvider,
  asUpload,
  asUploadedPart,
  asWrite,
  type CachedRecord,
  listSum,
  type PartList,
  type ProviderRecord,
  type ReplicaRecord,
  type UploadRecord,
  type WriteRecord,
} from './rows.ts'

/** Newest writes that are looked through for fresh ones, before the backlog. */
const freshWindow = 256
const freshMs = 10_000
/** Parts of writes in as many rows are kept in memory: a few megabytes. */
const keptParts = 30_000

/** Nothing that is a key sorts after two of the last code point. */
function endOf(prefix: string): string {
  return `${prefix}\u{10ffff}\u{10ffff}`
}

/** A replica that may be begun. */
type Candidate = Pick<WriteRecord, 'seq' | 'key' | 'version' | 'state'>

/** Everything that only looks: on a connection of its own, in the calling thread, in microseconds. */
export function look(database: Database) {
  const sql = <Row>(text: string) => database.prepare<unknown[], Row>(text)
  const writeOf = sql<WriteRecord>('SELECT * FROM writes WHERE seq = ?')
  const replicasOf = sql<ReplicaRecord>('SELECT * FROM replicas WHERE seq = ? ORDER BY provider')
  const newest = (state: string) =>
    `(SELECT seq FROM writes WHERE key = @key AND state = '${state}' AND origin = 'app' ORDER BY version DESC LIMIT 1)`
  // One statement, and so of one moment: it is run by every read, and most find nothing more to fetch.
  const standing = sql<{
    open: number | null
    tentative: number | null
    deleted: Version | null
    known: Version | null
    cached: 0 | 1
  }>(
    `SELECT ${newest('open')} AS open, ${newest('tentative')} AS tentative,
       (SELECT version FROM deleted WHERE key = @key) AS deleted, (SELECT max(version) FROM known WHERE key = @key) AS known,
       EXISTS (SELECT 1 FROM cached WHERE key = @key) AS cached`,
  )
  const remembered = sql<{ deleted: Version | null; known: Version | null }>(
    `SELECT (SELECT version FROM deleted WHERE key = @key) AS deleted, (SELECT max(version) FROM known WHERE key = @key) AS known`,
  )
  const holdsAny = sql<0 | 1>('SELECT EXISTS (SELECT 1 FROM writes) OR EXISTS (SELECT 1 FROM cached)').pluck()
  const cachedOf = sql<CachedRecord>('SELECT * FROM cached WHERE key = ?')
  const knownAt = sql<{ version: Version; token: string }>(
    "SELECT version, token FROM known WHERE key = ? AND provider = ? AND token != ''",
  )
  const openFrom = sql<{
    seq: number
    key: string
    kind: 'put' | 'delete'
    version: string
    size: number
    md5: string
    attributes: string
    waiting: number
    blocked: number
  }>(
    `SELECT seq, key, kind, version, size, md5, attributes, waiting, blocked FROM writes
     WHERE key > ? AND key >= ? AND key < ? AND state = 'open' AND origin = 'app' ORDER BY key LIMIT ?`,
  )
  // Of a write only what its row has before the body: SQLite reads the body to come to what is behind it. CROSS JOIN keeps it to this order.
  const candidates = 'SELECT r.seq, w.key, w.version, w.state FROM replicas r CROSS JOIN writes w ON w.seq = r.seq'
  const standingAt = (state: string) =>
    sql<Candidate>(
      `${candidates} WHERE r.provider = @provider AND r.state = '${state}' AND r.not_before <= @now ORDER BY r.not_before, r.seq`,
    )
  const due = standingAt('waiting')
  const looks = standingAt('stored')
  // The plus keeps it from the index of what is due: it would sort the whole backlog.
  const fresh = sql<Candidate>(
    `${candidates} WHERE r.seq > (SELECT max(seq) FROM writes) - ${freshWindow} AND +r.provider = @provider
     AND r.state = 'waiting' AND r.not_before <= @now ORDER BY r.seq DESC`,
  )
  const acceptedAt = sql<number>('SELECT accepted_at FROM writes WHERE seq = ?').pluck()
  const tentative = sql<Candidate>(
    `SELECT r.seq, w.key, w.version, w.state FROM writes w CROSS JOIN replicas r ON r.seq = w.seq AND r.provider = @provider
     WHERE w.state = 'tentative' AND r.state = 'waiting' AND r.not_before <= @now ORDER BY w.seq`,
  )
  const olderLacking = sql<number>(
    "SELECT count(*) FROM writes WHERE key = ? AND version < ? AND state = 'open' AND ((waiting | blocked) & ?) != 0",
  ).pluck()
  const hasTentative = sql<number>("SELECT count(*) FROM tally WHERE state = 'tentative' AND writes > 0").pluck()
  const nextOf = (state: string) =>
    sql<number | null>(`SELECT min(not_before) FROM replicas WHERE provider = ? AND state = '${state}'`).pluck()
  const nextDue = nextOf('waiting')
  const nextLook = nextOf('stored')
  const metaOf = sql<number>('SELECT value FROM meta WHERE name = ?').pluck()
  const abandonedEver = sql<number>('SELECT coalesce(max(id), 0) FROM abandoned').pluck()
  const groups = sql<CountGroup>('SELECT * FROM tally WHERE writes > 0')
  const staged = sql<number>('SELECT coalesce(sum(bytes), 0) FROM tally').pluck()
  const oldestWaiting = sql<number>(
    "SELECT accepted_at FROM writes WHERE state = 'open' AND waiting != 0 ORDER BY seq LIMIT 1",
  ).pluck()
  const heldBytes = sql<number>(
    `SELECT coalesce(sum(bytes), 0) FROM tally
     WHERE state = 'open' AND origin = coalesce(?, origin) AND waiting = 0 AND blocked = 0 AND stored != 0`,
  ).pluck()
  const blockedGroups = sql<BlockedGroup>(
    "SELECT provider, reason, count(*) AS writes FROM replicas WHERE state = 'blocked' GROUP BY provider, reason",
  )
  const releasable = sql<Releasable>(
    "SELECT seq, key, version, origin FROM writes WHERE state = 'open' AND waiting = 0 AND blocked = 0 AND stored = 0 ORDER BY seq LIMIT ?",
  )
  const over = sql<WriteRecord>(
    "SELECT * FROM writes WHERE state IN ('superseded', 'refused') AND (state = 'superseded' OR accepted_at < ?) ORDER BY seq LIMIT ?",
  )
  const trash = sql<{ file: string; to: 'unlink' | 'cache' }>('SELECT * FROM trash LIMIT ?')
  const allProviders = sql<ProviderRecord>('SELECT * FROM providers WHERE retired = 0 ORDER BY id')
  const bodies = sql<WriteRecord>(
    "SELECT * FROM writes WHERE seq > ? AND state IN ('open', 'tentative') AND kind = 'put' ORDER BY seq LIMIT 100",
  )
  const dataVersion = sql<number>('PRAGMA data_version').pluck()

  const partsOfWrite = sql<BodyPart>('SELECT file, size, crc32c, md5 FROM parts WHERE seq = ? ORDER BY number')
  const openUpload = sql<UploadRecord>('SELECT * FROM uploads WHERE id = ? AND seq IS NULL')
  const partsOfUpload = sql<PartRecord>(
    `SELECT p.* FROM uploads u CROSS JOIN parts p ON p.upload = u.id WHERE u.id = ? AND u.seq IS NULL ORDER BY p.number`,
  )
  const openUploads = sql<UploadRecord>(
    'SELECT * FROM uploads WHERE key >= ? AND key < ? AND seq IS NULL ORDER BY key, created_at, id',
  )

  const lists = new Map<number, PartList>()
  let listed = 0
  /** Ten thousand rows, and needed at each look at the write, but they never change as long as it is there. */
  const listOf = ({ seq, parts }: WriteRecord): PartList | undefined => {
    if (parts === null) return undefined
    const known = lists.get(seq)
    if (known !== undefined) return known
    const rows = partsOfWrite.all(seq)
    const list = { parts: rows, sum: listSum(rows) }
    // The write may have ended since its row was read, and its parts with it: that is no damage.
    if (list.sum !== parts && writeOf.get(seq)?.parts !== parts) return { parts: rows, sum: parts }
    lists.set(seq, list)
    listed += rows.length
    for (const [oldest, { parts: dropped }] of lists) {
      if (listed <= keptParts || oldest === seq) break
      lists.delete(oldest)
      listed -= dropped.length
    }
    return list
  }
  const full = (row: WriteRecord): WriteRow => asWrite(row, replicasOf.all(row.seq), listOf(row))
  const fullMaybe = (seq: number | null | undefined): WriteRow | undefined => {
    const row = typeof seq === 'number' ? writeOf.get(seq) : undefined
    return row && full(row)
  }

  /** What a condition speaks of may be still on its way to the provider: it goes first. */
  const isBehindAnother = ({ state, key, version }: Candidate, provider: number): boolean =>
    state === 'tentative' && olderLacking.get(key, version, bit(provider)) !== 0

  /** The first of them that can be begun now, however many stand before them that cannot. */
  const tasks = (found: readonly (() => Iterable<Candidate>)[], { provider, limit, except }: DueQuery): Task[] => {
    const chosen: Task[] = []
    const keys = new Set(except)
    for (const begin of found) {
      if (chosen.length >= limit) break
      for (const candidate of begin()) {
        const { seq, key } = candidate
        if (keys.has(key) || isBehindAnother(candidate, provider)) continue
        const row = writeOf.get(seq)
        const write = row && full(row)
        const replica = write?.replicas.find(each => each.provider === provider)
        if (write === undefined || replica === undefined) continue
        keys.add(key)
        chosen.push({ write, replica, known: knownAt.get(key, provider) })
        if (chosen.length >= limit) break
      }
    }
    return chosen
  }

  /** The newest, down to the first that is not fresh any more. */
  function* freshFrom(provider: number, now: number): Iterable<Candidate> {
    for (const candidate of fresh.iterate({ provider, now })) {
      if ((acceptedAt.get(candidate.seq) ?? 0) <= now - freshMs) return
      yield candidate
    }
  }

  let rowsOf: { readonly version: number | undefined; readonly rows: readonly ProviderRow[] } | undefined
  /** Asked for by every read: looked up again when somebody committed since. */
  const providerRows = (): readonly ProviderRow[] => {
    const version = dataVersion.get()
    if (rowsOf === undefined || rowsOf.version !== version) {
      rowsOf = { version, rows: allProviders.all().map(asProvider) }
    }
    return rowsOf.rows
  }

  let holding: { readonly version: number | undefined; readonly any: boolean } | undefined
  /** Whether there is a body of any key, or work on any: often there is none. Looked up again when somebody committed since. */
  const holds = (): boolean => {
    const version = dataVersion.get()
    if (holding === undefined || holding.version !== version) holding = { version, any: holdsAny.get() === 1 }
    return holding.any
  }

  const view = (key: string): KeyView => {
    // What is accepted from here on is later than this look.
    if (!holds()) {
      const { deleted, known } = remembered.get({ key }) ?? { deleted: null, known: null }
      const newest = (deleted ?? '') > (known ?? '') ? deleted : known
      return {
        open: undefined,
        tentative: undefined,
        deleted: deleted ?? undefined,
        newest: newest ?? undefined,
        cached: undefined,
      }
    }
    const found = standing.get({ key })
    const open = fullMaybe(found?.open)
    const deleted = found?.deleted ?? undefined
    const known = found?.known ?? undefined
    const cached = found?.cached === 1 ? cachedOf.get(key) : undefined
    const versions = [open?.version, deleted, known].filter(version => version !== undefined)
    return {
      open,
      tentative: fullMaybe(found?.tentative),
      deleted,
      newest: versions.length === 0 ? undefined : versions.reduce((a, b) => (a > b ? a : b)),
      cached: cached === undefined ? undefined : asCached(cached),
    }
  }

  const begin = sql('BEGIN')
  const end = sql('COMMIT')
  /**
   * Its statements in one transaction, and so of one moment: between two of them a write could end, and look like one that was given up everywhere. It costs
   * less too: SQLite locks once for all of them.
   */
  const atOnce = <Of, Found>(of: Of, find: (of: Of) => Found): Found => {
    begin.run()
    try {
      return find(of)
    } finally {
      if (database.inTransaction) end.run()
    }
  }

  return {
    view: (key: string): KeyView => atOnce(key, view),

    openKeys(prefix: string, after: string, limit: number): OpenKey[] {
      return openFrom
        .all(after, prefix, endOf(prefix), limit)
        .map(({ key, kind, version, waiting, blocked, ...row }) => {
          const { layout, features } = asKept(row)
          return {
            key,
            kind,
            version,
            size: row.size,
            etag: layout.etag,
            storageClass: features?.s3?.StorageClass,
            missingAt: bitsOf(waiting | blocked),
          }
        })
    },

    upload(id: string): UploadRow | undefined {
      const row = openUpload.get(id)
      return row === undefined ? undefined : asUpload(row)
    },
    uploadedParts: (id: string): UploadedPart[] => partsOfUpload.all(id).map(asUploadedPart),
    uploads: (prefix: string): UploadRow[] => openUploads.all(prefix, endOf(prefix)).map(asUpload),

    write: (seq: number): WriteRow | undefined => atOnce(seq, fullMaybe),

    counts(): Counts {
      return {
        accepted: metaOf.get('accepted') ?? 0,
        done: metaOf.get('done') ?? 0,
        superseded: metaOf.get('superseded') ?? 0,
        abandoned: abandonedEver.get() ?? 0,
        groups: groups.all(),
        oldestWaitingAt: oldestWaiting.get(),
      }
    },

    heldBytes: (origin?: 'repair'): number => heldBytes.get(origin ?? null) ?? 0,
    stagedBytes: (): number => staged.get() ?? 0,

    blocked: (): BlockedGroup[] => blockedGroups.all(),
    providers: (): readonly ProviderRow[] => providerRows(),
    leaseToken: (): number => metaOf.get('lease') ?? 0,

    due(query: DueQuery): Task[] {
      const { provider, now, order } = query
      const rest = () => (order === 'fresh' ? freshFrom(provider, now) : due.iterate({ provider, now }))
      return tasks((hasTentative.get() ?? 0) > 0 ? [() => tentative.iterate({ provider, now }), rest] : [rest], query)
    },

    looks: (query: DueQuery): Task[] =>
      tasks([() => looks.iterate({ provider: query.provider, now: query.now })], query),

    nextAt(provider: number): number | undefined {
      const times = [nextDue.get(provider), nextLook.get(provider)].filter(time => typeof time === 'number')
      return times.length === 0 ? undefined : Math.min(...times)
    },

    releasable: (limit: number): Releasable[] => releasable.all(limit),
    superseded: (now: number, limit: number): WriteRow[] => over.all(now - refusedKeptMs, limit).map(full),
    trash: (limit: number): { file: string; to: 'unlink' | 'cache' }[] => trash.all(limit),
    /** Writes with a body, a page after this seq: for verifying all of them. */
    withBodies: (after: number): WriteRow[] => bodies.all(after).map(full),
    dataVersion: (): number => dataVersion.get() ?? 0,
  }
}
