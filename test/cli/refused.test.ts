import { expect, test } from 'vitest'
import { inProcess, place } from './run.ts'

// Arguments that are wrong, or do not go together, are refused before a store is opened.

test.concurrent.for([
  ['a key and a prefix to remove', 'rm k --prefix p', 'say either a KEY or --prefix, not both'],
  ['nothing to remove', 'rm', 'say which KEY, or --prefix'],
  ['a dry run for one key', 'rm k --dry-run', '--dry-run is for --prefix'],
  ['all keys for one key', 'rm k --everything', '--everything is for --prefix'],
  ['an empty prefix', 'rm --prefix ""', 'say --everything if that is meant'],
  ['a key and a prefix to verify', 'verify k --prefix p', 'say either a KEY or --prefix, not both'],
  ['an object and its JSON in one stream', 'get k - --json', 'get --json wants a FILE'],
  ['all that is blocked', 'blocked abandon --why reason', 'this gives up all blocked writes'],
  ['a listing that ends before it begins', 'ls --limit 0', 'It must be a whole number of at least 1.'],
  ['lines without a pause between them', 'status --every 0', 'It must be a number of seconds from 0.05 to 86400.'],
  ['a file that is not there', 'put k none.jpg', '/none.jpg: there is no such file'],
  ['a file below a file', 'put k holdfast.config.json/x', 'holdfast.config.json/x: ENOTDIR'],
  ['a directory for a file', 'put k a', '/a is a directory: put takes one file'],
  ['metadata without a name', 'put k --metadata =value', '--metadata wants name=value, got =value'],
] as const)('%s: one line and 2', async ([, args, wanted]) => {
  await using here = await place()
  const { code, stdout, stderr } = await inProcess(here.path, args)
  expect(stderr).toContain(wanted)
  expect(stderr).toMatch(/^(holdfast: |\{"error":)[^\n]+\n$/)
  expect([code, stdout]).toEqual([2, ''])
})
