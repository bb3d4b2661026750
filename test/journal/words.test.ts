import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { memoryTables, openMemoryJournal } from '../../src/journal/memory.ts'
import { failure, rebuild } from '../../src/journal/protocol.ts'
import { asJournalError } from '../../src/journal/schema.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { write } from './scene.ts'

test.each([
  ['SQLITE_CORRUPT_INDEX', { code: 'CORRUPT', field: 'journal', rule: 'damaged' }],
  ['SQLITE_NOTADB', { code: 'CORRUPT', field: 'journal', rule: 'damaged' }],
  ['SQLITE_FULL', { code: 'NO_SPACE', field: 'disk', rule: 'full', outcome: 'rejected', retryable: true }],
  ['SQLITE_BUSY_SNAPSHOT', { code: 'UNAVAILABLE', outcome: 'rejected', retryable: true }],
  ['SQLITE_LOCKED', { code: 'UNAVAILABLE', outcome: 'rejected', retryable: true }],
  ['SQLITE_CANTOPEN', { code: 'INVALID', field: 'directory', rule: 'writable', retryable: false }],
  ['SQLITE_READONLY_DBMOVED', { code: 'INVALID', field: 'directory', rule: 'writable' }],
  ['SQLITE_IOERR_FSYNC', { code: 'CORRUPT', field: 'journal', rule: 'failed' }],
  [undefined, { code: 'CORRUPT', field: 'journal', rule: 'failed' }],
])('what SQLite calls %s is said in our words, with its own as the cause', (code, wanted) => {
  const said = Object.assign(new Error('disk image'), code === undefined ? {} : { code })
  const error = asJournalError(said, '/d/journal.sqlite')
  expect(error).toMatchObject({ ...wanted, cause: said, message: expect.stringContaining('/d/journal.sqlite') })
  expect(asJournalError(error, '/other')).toBe(error)
})

test('an error that is none of ours comes out of the thread of the journal as CORRUPT, one of ours as it was', () => {
  const answerOf = (error: Error) => {
    const answer = failure(7, error)
    if (answer.ok) throw new Error('a failure that is none')
    return rebuild(answer)
  }
  expect(answerOf(new TypeError('no such thing'))).toMatchObject({ code: 'CORRUPT', message: 'no such thing' })
  const ours = new HoldfastError('NO_SPACE', 'full', { field: 'disk', rule: 'full', cause: new Error('ENOSPC') })
  expect(answerOf(ours)).toMatchObject({
    code: 'NO_SPACE',
    field: 'disk',
    rule: 'full',
    cause: expect.objectContaining({ message: 'ENOSPC' }),
  })
})

const directory = '00000000-0000-4000-8000-000000000000'
const bodies = { path: 'bodies', has: () => true, unlink: () => {} }

test('the journal in memory is opened for its own directory only, and by nobody while somebody verifies it (D9, I4)', async () => {
  const tables = memoryTables(directory)
  let isSet = true
  const poison = { isSet: () => isSet, clear: () => (isSet = false) }
  const open = (writer: string, more: { directory?: string } = {}) =>
    openMemoryJournal({ path: '/', directory, clock: manualClock(), tables, bodies, writer, poison, ...more })
  await expect(open('a', { directory: 'another' })).rejects.toMatchObject({ field: 'directory', rule: 'identity' })
  const { journal, verification } = await open('0000000000000001')
  isSet = false
  await expect(open('0000000000000002')).rejects.toMatchObject({ code: 'UNAVAILABLE', rule: 'verifying' })
  await verification?.done()
  const other = await open('0000000000000003')
  await journal.close()
  const broken = new TypeError('a bug')
  Object.defineProperty(tables, 'highest', {
    get() {
      throw broken
    },
  })
  await expect(other.journal.accept(write('k'))).rejects.toMatchObject({
    code: 'CORRUPT',
    rule: 'failed',
    cause: broken,
  })
  await other.journal.close()
})

test('the journal in memory hears of no verification any more once it is closed', async () => {
  const tables = memoryTables(directory)
  let isSet = true
  const poison = { isSet: () => isSet, clear: () => void (isSet = false) }
  const writer = '0000000000000001'
  const opened = await openMemoryJournal({
    path: '/',
    directory,
    clock: manualClock(),
    tables,
    bodies,
    writer,
    poison,
  })
  await opened.journal.close()
  const closed = { code: 'CLOSED', outcome: 'rejected' }
  await expect(opened.verification?.done()).rejects.toMatchObject(closed)
  await expect(opened.journal.accept(write('k'))).rejects.toMatchObject(closed)
  expect(isSet).toBe(true)
})
