import Database from 'better-sqlite3'
import { hex32, crc32c, digestsOf } from '../../src/core/digest.ts'

/** The schema of format 1, as version 0.1 made it: what is there is taken over, so this never changes. */
const tables = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE providers (
  id INTEGER PRIMARY KEY, location TEXT NOT NULL UNIQUE, name TEXT NOT NULL, identity TEXT, capabilities TEXT, health TEXT
) STRICT;
CREATE TABLE writes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, version TEXT NOT NULL, kind TEXT NOT NULL, origin TEXT NOT NULL,
  state TEXT NOT NULL, condition TEXT, refusal TEXT, size INTEGER NOT NULL, crc32c TEXT NOT NULL, md5 TEXT NOT NULL,
  attributes TEXT NOT NULL, sum TEXT NOT NULL, body BLOB, file TEXT, accepted_at INTEGER NOT NULL,
  targets INTEGER NOT NULL, waiting INTEGER NOT NULL, blocked INTEGER NOT NULL, stored INTEGER NOT NULL
) STRICT;
CREATE INDEX writes_by_key ON writes (key, version);
CREATE UNIQUE INDEX writes_by_file ON writes (file) WHERE file IS NOT NULL;
CREATE INDEX writes_tentative ON writes (seq) WHERE state = 'tentative';
CREATE INDEX writes_waiting ON writes (seq) WHERE state = 'open' AND waiting != 0;
CREATE INDEX writes_releasable ON writes (seq) WHERE state = 'open' AND waiting = 0 AND blocked = 0 AND stored = 0;
CREATE INDEX writes_over ON writes (seq) WHERE state IN ('superseded', 'refused');
CREATE TABLE replicas (
  seq INTEGER NOT NULL, provider INTEGER NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL, not_before INTEGER NOT NULL,
  reason TEXT, message TEXT, token TEXT, proof TEXT, etag TEXT, part_size INTEGER, stored_at INTEGER, upload TEXT,
  PRIMARY KEY (seq, provider)
) STRICT, WITHOUT ROWID;
CREATE INDEX replicas_due ON replicas (provider, not_before, seq) WHERE state = 'waiting';
CREATE INDEX replicas_look ON replicas (provider, not_before, seq) WHERE state = 'stored';
CREATE INDEX replicas_blocked ON replicas (provider, reason) WHERE state = 'blocked';
CREATE TABLE tally (
  origin TEXT NOT NULL, state TEXT NOT NULL, waiting INTEGER NOT NULL, blocked INTEGER NOT NULL, stored INTEGER NOT NULL,
  writes INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (origin, state, waiting, blocked, stored)
) STRICT, WITHOUT ROWID;
CREATE TABLE trash (file TEXT PRIMARY KEY, "to" TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE deleted (key TEXT PRIMARY KEY, version TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX deleted_at ON deleted (at);
CREATE TABLE known (
  key TEXT NOT NULL, provider INTEGER NOT NULL, version TEXT NOT NULL, token TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (key, provider)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_at ON known (at);
CREATE TABLE cached (
  key TEXT PRIMARY KEY, version TEXT NOT NULL, body BLOB, file TEXT, size INTEGER NOT NULL, crc32c TEXT NOT NULL, md5 TEXT NOT NULL,
  attributes TEXT NOT NULL, used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX cached_used ON cached (used_at);
`

const countIn = (row: 'new' | 'old', sign: '+' | '-') => `
  INSERT INTO tally VALUES (${row}.origin, ${row}.state, ${row}.waiting, ${row}.blocked, ${row}.stored, ${sign}1, ${sign}${row}.size)
  ON CONFLICT DO UPDATE SET writes = writes + excluded.writes, bytes = bytes + excluded.bytes;`

const triggers = `
CREATE TRIGGER tally_in AFTER INSERT ON writes BEGIN ${countIn('new', '+')} END;
CREATE TRIGGER tally_out AFTER DELETE ON writes BEGIN ${countIn('old', '-')} END;
CREATE TRIGGER tally_move AFTER UPDATE OF state, waiting, blocked, stored ON writes BEGIN ${countIn('old', '-')} ${countIn('new', '+')} END;
`

export interface OldWrite {
  readonly key: string
  readonly version: string
  /** In the row, or a name in `bodies/`, whose bytes these are. */
  readonly bytes: Uint8Array
  readonly file?: string
}

/** Makes a journal of format 1 with these writes, each open and on its way to provider 1. */
export function makeFormat1(path: string, directory: string, writes: readonly OldWrite[]): void {
  const database = new Database(path)
  database.pragma('journal_mode = wal')
  database.exec(tables + triggers)
  const put = database.prepare('INSERT INTO meta VALUES (?, ?)')
  put.run('directory', directory)
  put.run(
    'highest',
    writes
      .map(({ version }) => version)
      .toSorted()
      .at(-1) ?? '',
  )
  for (const counter of ['lease', 'accepted', 'done', 'superseded']) put.run(counter, 0)
  database.prepare("UPDATE meta SET value = ? WHERE name = 'accepted'").run(writes.length)
  database.prepare("INSERT INTO providers (id, location, name) VALUES (1, 'test://a', 'a')").run()
  for (const { key, version, bytes, file } of writes) {
    const size = bytes.byteLength
    const digests = digestsOf(bytes)
    const attributes = JSON.stringify([{ contentType: 'text/plain' }, [['a', 'b']]])
    const fields = [key, version, 'put', size, digests.crc32c, digests.md5, attributes]
    const { lastInsertRowid } = database
      .prepare(
        `INSERT INTO writes (key, version, kind, origin, state, size, crc32c, md5, attributes, sum, body, file, accepted_at, targets, waiting, blocked, stored)
         VALUES (?, ?, 'put', 'app', 'open', ?, ?, ?, ?, ?, ?, ?, 1, 1, 1, 0, 0)`,
      )
      .run(
        key,
        version,
        size,
        digests.crc32c,
        digests.md5,
        attributes,
        hex32(crc32c(Buffer.from(fields.join('\n')))),
        ...(file === undefined ? [bytes, null] : [null, file]),
      )
    database
      .prepare("INSERT INTO replicas (seq, provider, state, attempt, not_before) VALUES (?, 1, 'waiting', 0, 0)")
      .run(lastInsertRowid)
  }
  database.pragma('user_version = 1')
  database.close()
}
