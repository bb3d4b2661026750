import type { Database } from 'better-sqlite3'
import { HoldfastError } from '../core/errors.ts'
import { nextVersion, type Version } from '../core/version.ts'
import type { BodyFiles } from './bodies.ts'
import { checkLocally } from './condition.ts'
import type { Accepted, NewWrite, WriteBody } from './contract.ts'
import { bit, maskOf } from './masks.ts'
import { promisedRows } from './promised.ts'
import { listSum, sumOf, type WriteRecord } from './rows.ts'

/** A write as it goes to the worker: attributes already as text. */
export type IncomingWrite = Omit<NewWrite, 'attributes' | 'layout' | 'features'> & {
  readonly attributes: string
  readonly now: number
}

/** Takes a write into the journal, as `Journal.accept` says. Throws a HoldfastError only before its first change. */
export function accepting(database: Database, writer: string, bodies: BodyFiles): (write: IncomingWrite) => Accepted {
  const rows = promisedRows(database)
  const sql = <Row = unknown>(text: string) => database.prepare<unknown[], Row>(text)
  const stagedBytes = sql<number>('SELECT coalesce(sum(bytes), 0) FROM tally').pluck()
  const newestOpen = sql<WriteRecord>(
    "SELECT * FROM writes WHERE key = ? AND state = 'open' AND origin = 'app' ORDER BY version DESC LIMIT 1",
  )
  const openNotBefore = sql<number>(
    "SELECT count(*) FROM writes WHERE key = @key AND state = 'open' AND (version > @version OR (version = @version AND targets & @targets))",
  ).pluck()
  const deletedAt = sql<Version>('SELECT version FROM deleted WHERE key = ?').pluck()
  // By place: looking up seventeen names costs as much as a statement.
  const addWrite = sql(
    `INSERT INTO writes (key, version, kind, origin, state, condition, size, crc32c, md5, attributes, sum, body, file, parts, accepted_at, targets, waiting, blocked, stored)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)`,
  )

  /** Of a delete: by a newer one. The same one may still have to be brought to a provider. */
  const isDeleted = ({ key, version = '', kind }: IncomingWrite): boolean => {
    const deleted = deletedAt.get(key) ?? ''
    return kind === 'delete' ? deleted > version : deleted >= version
  }

  const refuseUnfit = (write: IncomingWrite, targets: number): void => {
    if (filesOf(write.body).some(file => !bodies.has(file)))
      throw new HoldfastError(
        'CORRUPT',
        `the body of this write vanished from ${bodies.path}: something else removes files there`,
        { key: write.key, field: 'directory', rule: 'body', outcome: 'rejected' },
      )
    const used = stagedBytes.get() as number
    // The bytes of parts are among those used.
    if (write.kind === 'put' && write.body.in !== 'parts' && used + write.size > write.maxStageBytes)
      throw new HoldfastError(
        'NO_SPACE',
        `the stage holds ${used} of ${write.maxStageBytes} bytes, ${write.size} more do not fit; drain, or raise maxStageBytes`,
        { key: write.key, field: 'maxStageBytes', rule: 'full', outcome: 'rejected' },
      )
    if (write.condition !== undefined) checkLocally(write, newestOpen.get(write.key))
    if (write.origin === 'repair' && (openNotBefore.get({ ...write, targets }) !== 0 || isDeleted(write)))
      throw new HoldfastError('PRECONDITION', 'the key was written or deleted since', {
        key: write.key,
        reason: 'CONDITION',
        outcome: 'rejected',
      })
  }

  return write => {
    const targets = maskOf(write.providers)
    refuseUnfit(write, targets)
    const version = write.version ?? nextVersion(rows.highest(), write.stampMs, writer)
    const tentative = write.condition !== undefined
    const [primary] = write.providers
    const waiting = tentative && primary !== undefined ? bit(primary) : targets
    const list = write.body.in === 'parts' ? listSum(write.body.parts) : null
    const { lastInsertRowid } = addWrite.run(
      write.key,
      version,
      write.kind,
      write.origin,
      tentative ? 'tentative' : 'open',
      tentative ? JSON.stringify(write.condition) : null,
      write.size,
      write.crc32c,
      write.md5,
      write.attributes,
      sumOf({ ...write, version, parts: list }),
      write.body.in === 'row' ? write.body.bytes : null,
      write.body.in === 'file' ? write.body.file : null,
      list,
      write.now,
      targets,
      waiting,
    )
    const seq = Number(lastInsertRowid)
    for (const provider of write.providers)
      if ((waiting & bit(provider)) !== 0) rows.addReplica(seq, provider, damagedAt(write, provider))
    rows.raiseHighest(version)
    if (!tentative) rows.promised({ ...write, version }, write.now)
    return { seq, version, acceptedAt: write.now }
  }
}

/** Names in `bodies/`. */
function filesOf(body: WriteBody): readonly string[] {
  if (body.in === 'parts') return body.parts.map(({ file }) => file)
  return body.in === 'file' ? [body.file] : []
}

function damagedAt({ damaged }: IncomingWrite, id: number): string | null {
  return damaged?.find(({ provider }) => provider === id)?.token ?? null
}
