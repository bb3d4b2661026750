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

/** The tally is kept by the same transaction that changes a write, whoever changes it. */
const triggers = `
CREATE TRIGGER tally_in AFTER INSERT ON writes BEGIN ${countIn('new', '+')} END;
CREATE TRIGGER tally_out AFTER DELETE ON writes BEGIN ${countIn('old', '-')} END;
CREATE TRIGGER tally_move AFTER UPDATE OF state, waiting, blocked, stored ON writes BEGIN ${countIn('old', '-')} ${countIn('new', '+')} END;
`

/** What format 2 has more: uploads in parts, and writes whose body is in parts. */
const uploadTables = `
ALTER TABLE writes ADD COLUMN parts TEXT;
CREATE TABLE uploads (
  id TEXT PRIMARY KEY, key TEXT NOT NULL, attributes TEXT NOT NULL, checksum TEXT, sum TEXT NOT NULL,
  created_at INTEGER NOT NULL, used_at INTEGER NOT NULL, seq INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_key ON uploads (key, created_at, id);
CREATE INDEX uploads_by_write ON uploads (seq) WHERE seq IS NOT NULL;
CREATE INDEX uploads_used ON uploads (used_at);
CREATE TABLE parts (
  file TEXT PRIMARY KEY, upload TEXT, seq INTEGER, number INTEGER NOT NULL, size INTEGER NOT NULL, crc32c TEXT NOT NULL, md5 TEXT NOT NULL,
  checksum TEXT, sum TEXT NOT NULL, uploaded_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX parts_of_upload ON parts (upload, number) WHERE upload IS NOT NULL;
CREATE UNIQUE INDEX parts_of_write ON parts (seq, number) WHERE seq IS NOT NULL;
`

const countPart = (row: 'new' | 'old', sign: '+' | '-') => `
  INSERT INTO tally VALUES ('app', 'upload', 0, 0, 0, ${sign}1, ${sign}${row}.size)
  ON CONFLICT DO UPDATE SET writes = writes + excluded.writes, bytes = bytes + excluded.bytes;`

/** Parts of open uploads are on local disk as bodies of writes are, and counted with them. */
const uploadTriggers = `
CREATE TRIGGER part_in AFTER INSERT ON parts WHEN new.upload IS NOT NULL BEGIN ${countPart('new', '+')} END;
CREATE TRIGGER part_out AFTER DELETE ON parts WHEN old.upload IS NOT NULL BEGIN ${countPart('old', '-')} END;
CREATE TRIGGER part_taken AFTER UPDATE OF upload ON parts WHEN old.upload IS NOT NULL AND new.upload IS NULL BEGIN ${countPart('old', '-')} END;
CREATE TRIGGER part_returned AFTER UPDATE OF upload ON parts WHEN old.upload IS NULL AND new.upload IS NOT NULL BEGIN ${countPart('new', '+')} END;
`

/**
 * What format 3 has more: what a person settles, and what long work remembers. Providers that were there before count as filled. A replica for a
 * provider that was retired shows that it is in use after all.
 */
const settleTables = `
ALTER TABLE providers ADD COLUMN filled INTEGER NOT NULL DEFAULT 1;
ALTER TABLE providers ADD COLUMN stale INTEGER NOT NULL DEFAULT 0;
ALTER TABLE providers ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;
ALTER TABLE replicas ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX replicas_blocked_by_write ON replicas (seq) WHERE state = 'blocked';
CREATE TABLE jobs (name TEXT PRIMARY KEY, state TEXT NOT NULL, updated_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE abandoned (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL, version TEXT NOT NULL, kind TEXT NOT NULL, provider TEXT NOT NULL, reason TEXT NOT NULL,
  why TEXT NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER retired_returns AFTER INSERT ON replicas
WHEN EXISTS (SELECT 1 FROM providers WHERE id = new.provider AND retired = 1)
BEGIN UPDATE providers SET retired = 0, filled = 0 WHERE id = new.provider; END;
`

/** What each format has more than the one before it. A new journal gets all of them in turn, so it is the same as one that was taken over. */
export const sinceFormat: readonly string[] = [tables + triggers, uploadTables + uploadTriggers, settleTables]
