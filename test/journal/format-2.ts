import Database from 'better-sqlite3'
import { makeFormat1, type OldWrite } from './format-1.ts'

/** What format 2 had more than format 1: what is there is taken over, so this never changes. */
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

const uploadTriggers = `
CREATE TRIGGER part_in AFTER INSERT ON parts WHEN new.upload IS NOT NULL BEGIN ${countPart('new', '+')} END;
CREATE TRIGGER part_out AFTER DELETE ON parts WHEN old.upload IS NOT NULL BEGIN ${countPart('old', '-')} END;
CREATE TRIGGER part_taken AFTER UPDATE OF upload ON parts WHEN old.upload IS NOT NULL AND new.upload IS NULL BEGIN ${countPart('old', '-')} END;
CREATE TRIGGER part_returned AFTER UPDATE OF upload ON parts WHEN old.upload IS NULL AND new.upload IS NOT NULL BEGIN ${countPart('new', '+')} END;
`

/** Makes a journal of format 2 with these writes, each open and blocked at provider 1. */
export function makeFormat2(path: string, directory: string, writes: readonly OldWrite[]): void {
  makeFormat1(path, directory, writes)
  const database = new Database(path)
  database.exec(uploadTables + uploadTriggers)
  database.exec(`
    UPDATE replicas SET state = 'blocked', reason = 'TOO_OLD', message = 'it waited too long';
    UPDATE writes SET waiting = 0, blocked = 1;
  `)
  database.pragma('user_version = 2')
  database.close()
}
