import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { inProcess, place } from './run.ts'

// What goes wrong is one line that says what to do, on stderr, and a number; on stdout there is nothing.

const flags = '--directory store --primary fs:/tmp/none-a --secondary fs:/tmp/none-b'

test.concurrent.for([
  ['a flag that there is none of', 'status --wacth', "unknown option '--wacth' (Did you mean --watch?)"],
  ['a command that there is none of', 'statsu', "unknown command 'statsu' (Did you mean status?)"],
  ['an argument too many', 'get a b c', "too many arguments for 'get'. Expected 2 arguments but got 3: a, b, c."],
  ['an argument too few', 'inspect', "missing required argument 'key'"],
  ['a number that is none', 'reconcile --max-requests-per-second fast', 'It must be a number above 0.'],
  ['a choice that there is none of', 'drain --until done', 'Allowed choices are stored, verified.'],
  ['neither key nor prefix', 'verify', 'say which KEY, or --prefix'],
  ['a secret in a flag', 'status --secret-access-key=hunter2', 'no credentials in flags'],
  ['no config file', 'status', 'there is no holdfast.config.ts'],
  ['a config file that is not there', 'status --config other.ts', '<place>/other.ts: there is no such file'],
  ['half of the flags', 'status --primary fs:/tmp/none-a --directory d', '--secondary is missing'],
  ['a config file and flags', `status ${flags} --config x.ts`, 'not both'],
  [
    'a kind of provider that there is none of',
    'status --primary s4:b --secondary fs:/b --directory d',
    'did you mean s3?',
  ],
  [
    'a secret in a provider',
    'status --primary s3:b?secretAccessKey=hunter2 --secondary fs:/b --directory d',
    '--primary: no credentials in flags (secretAccessKey): use AWS_ACCESS_KEY_ID',
  ],
  [
    'an option that a provider has not',
    'status --primary s3:b?regoin=x --secondary fs:/b --directory d',
    'did you mean region?',
  ],
  ['no directory yet', `status ${flags}`, 'there is no directory <place>/store'],
  [
    'the same place twice',
    'put k --directory d --primary fs:/tmp/none-a --secondary fs:/tmp/none-a',
    'are the same place',
  ],
] as const)('%s: one line and 2', async ([, args, wanted]) => {
  await using here = await place('no config')
  const { code, stdout, stderr } = await inProcess(here.path, args)
  expect(stderr.replaceAll(here.path, '<place>')).toContain(wanted)
  expect(stderr).toMatch(/^holdfast: [^\n]+\n$/)
  expect(stderr).not.toContain('hunter2')
  expect([code, stdout]).toEqual([2, ''])
})

test.concurrent.for([
  ['a syntax error', 'holdfast.config.ts', 'export default {\n  directory: \n}\n', /holdfast\.config\.ts: line \d+: /],
  [
    'syntax that is not erasable',
    'holdfast.config.ts',
    'enum Where { Here }\nexport default { where: Where.Here }\n',
    /enums, namespaces/,
  ],
  [
    'an error of its own',
    'holdfast.config.mjs',
    "throw new Error('PHOTOS_BUCKET is not set')\n",
    /: it throws PHOTOS_BUCKET is not set$/m,
  ],
  [
    'a function that fails',
    'holdfast.config.mjs',
    "export default async () => { throw new RangeError('no') }\n",
    /: it throws RangeError: no$/m,
  ],
  [
    'a module that is not there',
    'holdfast.config.mjs',
    "import 'left-pad-of-old'\n",
    /Cannot find package 'left-pad-of-old'/,
  ],
  ['nothing exported', 'holdfast.config.mjs', 'export const options = {}\n', /must export the options by default/],
  [
    'an option of a provider that there is none of',
    'holdfast.config.ts',
    "import { fs } from 'holdfast/fs'\nexport default { primary: fs({ rot: '/x' }) }\n",
    /fs\(\) has no option "rot"; did you mean root\?/,
  ],
  [
    'an option that there is none of',
    'holdfast.config.json',
    '{ "directory": "/tmp", "hold": 1 }',
    /has no option "hold"; did you mean holdMs\?/,
  ],
  ['no provider', 'holdfast.config.json', '{ "directory": "/tmp" }', /primary is missing/],
  ['no JSON', 'holdfast.config.json', '{ directory: 1 }', /holdfast\.config\.json: .*JSON/],
] as const)('a config file with %s: one line and 2', async ([, file, text, wanted]) => {
  await using here = await place('no config')
  await here.write(file, text)
  const { code, stdout, stderr } = await (file.endsWith('.json') ? inProcess(here.path, 'status') : here.run('status'))
  expect(stderr).toMatch(wanted)
  expect(stderr).toMatch(/^holdfast: [^\n]+\n$/)
  expect([code, stdout]).toEqual([2, ''])
})

test.concurrent('errors are JSON where JSON is asked for, and have a stack only with --verbose', async () => {
  await using here = await place()
  const json = await inProcess(here.path, 'inspect .holdfast/x --json --directory a')
  expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: expect.any(String), message: expect.any(String) } })
  expect(json.code).toBe(2)
  const verbose = await inProcess(here.path, 'status --config nothing --verbose')
  expect(verbose.stderr).toMatch(/^holdfast: [^\n]+\nUsage: /)
})

test.concurrent('a key that no provider can hold, and a provider that there is none of: 2; an object that there is none of: 1', async () => {
  await using here = await place()
  await mkdir(join(here.path, 'store'), { mode: 0o700 })
  const [key, name, absent] = await Promise.all([
    inProcess(here.path, 'put ""'),
    here.run('blocked retry --provider c'),
    here.run('get nothing'),
  ])
  expect([key.code, key.stderr]).toEqual([2, 'holdfast: key must be a non-empty string, got ""\n'])
  expect([name.code, name.stderr]).toEqual([2, 'holdfast: no provider is called "c"; did you mean a?\n'])
  expect([absent.code, absent.stderr]).toEqual([1, 'holdfast: there is no object nothing\n'])
})

test.concurrent('without a command there is help on stderr, and 2; --help is on stdout, and 0', async () => {
  await using here = await place('no config')
  const [bare, help, version] = await Promise.all([
    inProcess(here.path, ''),
    here.run('--help'),
    inProcess(here.path, '--version'),
  ])
  expect([bare.code, bare.stdout]).toEqual([2, ''])
  expect(bare.stderr).toBe(help.stdout)
  expect(help.code).toBe(0)
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})
