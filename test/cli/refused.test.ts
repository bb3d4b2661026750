import { expect, test } from 'vitest'
import { inProcess, place } from './run.ts'

// Arguments that do not go together are refused before a store is opened.

test.concurrent.for([
  ['a key and a prefix to remove', 'rm k --prefix p', 'say either a KEY or --prefix, not both'],
  ['nothing to remove', 'rm', 'say which KEY, or --prefix'],
  ['a dry run for one key', 'rm k --dry-run', '--dry-run is for --prefix'],
  ['all keys for one key', 'rm k --everything', '--everything is for --prefix'],
  ['an empty prefix', 'rm --prefix ""', 'say --everything if that is meant'],
  ['a key and a prefix to verify', 'verify k --prefix p', 'say either a KEY or --prefix, not both'],
  ['an object and its JSON in one stream', 'get k - --json', 'get --json wants a FILE'],
  ['all that is blocked', 'blocked abandon --why reason', 'this gives up all blocked writes'],
] as const)('%s: one line and 2', async ([, args, wanted]) => {
  await using here = await place()
  const { code, stdout, stderr } = await inProcess(here.path, args)
  expect(stderr + stdout).toContain(wanted)
  expect(code).toBe(2)
})
