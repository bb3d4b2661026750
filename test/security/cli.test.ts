import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Ended, inProcess } from '../cli/run.ts'
import { canaries, foundIn } from './canary.ts'

// What the program shows on a terminal, in a log of a build, or in somebody's ticket (I42, X1, X13).

const { secretAccessKey } = canaries()

async function folder(files: Readonly<Record<string, string>> = {}): Promise<string> {
  const path = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-cli-security-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  await Promise.all(['a', 'b'].map(name => mkdir(join(path, name))))
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text)
  return path
}

async function saidBy(path: string, command: string): Promise<string> {
  const said: Ended[] = []
  for (const flags of ['', ' --json', ' --verbose']) said.push(await inProcess(path, command + flags))
  return said.map(({ stdout, stderr }) => stdout + stderr).join('\n')
}

/** Config files that are wrong in a way that makes Node, or JSON, or ourselves, quote them. */
const wrong: Readonly<Record<string, readonly [string, string]>> = {
  'JSON that is none': ['holdfast.config.json', secretAccessKey],
  'JSON that ends early': ['holdfast.config.json', `{ "primary": { "secretAccessKey": "${secretAccessKey}"`],
  'JSON with a word too many': ['holdfast.config.json', `{ "secretAccessKey": "${secretAccessKey}" oops }`],
  'JSON with an unquoted value': ['holdfast.config.json', `{ "secretAccessKey": ${secretAccessKey} }`],
  'a secret under a name that is no option': [
    'holdfast.config.json',
    JSON.stringify({ directory: '/x', [`secret`]: secretAccessKey }),
  ],
  'a secret for an option of another type': [
    'holdfast.config.json',
    JSON.stringify({ directory: '/x', holdMs: secretAccessKey }),
  ],
  'a secret in a provider': [
    'holdfast.config.json',
    JSON.stringify({ directory: '/x', primary: `s3:b?secretAccessKey=${secretAccessKey}`, secondary: 'fs:/x' }),
  ],
  'a secret for a provider': [
    'holdfast.config.json',
    JSON.stringify({ directory: '/x', primary: secretAccessKey, secondary: 'fs:/x' }),
  ],
  'a module that cannot be parsed': [
    'holdfast.config.mjs',
    `export default {\n  secretAccessKey: '${secretAccessKey}' oops\n}\n`,
  ],
  'a module with a string that does not end': [
    'holdfast.config.mjs',
    `export default { secretAccessKey: '${secretAccessKey}\n}\n`,
  ],
  'a module in TypeScript that cannot be parsed': [
    'holdfast.config.mts',
    `export default {\n  secretAccessKey: '${secretAccessKey}' oops\n}\n`,
  ],
}

test.each(Object.keys(wrong))('%s: what is wrong is said, and the secret is not shown (I42, X1)', async what => {
  const [file, text] = wrong[what] as readonly [string, string]
  const path = await folder({ [file]: text })
  const said = await saidBy(path, 'status')
  expect(said).toContain('holdfast')
  expect(said.length).toBeGreaterThan(100)
  expect(foundIn(said, [secretAccessKey])).toEqual([])
  // What JSON and Node quote is cut short: a piece of it is too much.
  expect(said).not.toContain(secretAccessKey.slice(0, 8))
  expect(said).not.toContain(secretAccessKey.slice(-8))
})

const hostile = 'k\u001b]0;owned\u0007\u001b[2J\u009b31m\r\n{"ok":true}\u202egnp'
const obeyed = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/

test('keys and names that would do something to a terminal, in arguments of every command: escaped, a line is a line (X13)', async () => {
  const path = await folder()
  const options = { directory: join(path, 'store'), primary: `fs:${path}/a?name=a`, secondary: `fs:${path}/b?name=b` }
  await writeFile(join(path, 'holdfast.config.json'), JSON.stringify(options))
  await writeFile(join(path, 'file'), 'body')
  const shown: string[] = []
  const commands = [
    `put k "${hostile}"`,
    `get "${hostile}"`,
    `rm "${hostile}" "${hostile}"`,
    `inspect "${hostile}"`,
    `retire "${hostile}" --why "${hostile}"`,
    `status --directory "${hostile}"`,
    `status --config "${hostile}"`,
    `status --primary "${hostile}" --secondary fs:/x --directory /x`,
    `status "--${hostile}"`,
    `"${hostile}"`,
  ]
  for (const command of commands) {
    for (const flags of ['', ' --json']) {
      const { stdout, stderr } = await inProcess(path, command + flags)
      shown.push(stdout, stderr)
      expect(stdout + stderr, JSON.stringify(command + flags)).not.toMatch(obeyed)
      if (flags !== ' --json') continue
      for (const line of (stdout + stderr).split('\n').filter(text => text !== ''))
        expect(() => JSON.parse(line), line).not.toThrow()
    }
  }
  expect(shown.join('').length).toBeGreaterThan(500)
})
