import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hasTerminal, normalised, type Place, place, spec } from './run.ts'

// Every command as somebody tries it who reads `holdfast --help`: on a terminal, whose screens are kept in screens/, and through pipes.

if (!hasTerminal) process.stdout.write('SKIPPED: screens of the command line need `script` of util-linux\n')

async function keptScreen(here: Place, name: string, args: string, keys?: string): Promise<number> {
  const { code, screen } = await here.screen(args, keys === undefined ? {} : { keys })
  await expect(`$ holdfast ${args}\n${normalised(screen, here.path)}\n`).toMatchFileSnapshot(`screens/${name}.txt`)
  return code
}

test.concurrent('put, ls, get, rm and status through pipes: results on stdout, words on stderr', async () => {
  await using here = await place()
  await here.write('cat.jpg', 'a picture')
  const put = await here.run('put photos/cat.jpg cat.jpg --content-type image/jpeg --metadata owner=me --ack all')
  expect(normalised(put.stdout, here.path)).toBe('photos/cat.jpg  9 B  <version>\n')
  expect([put.code, put.stderr]).toEqual([0, ''])
  const piped = await here.run('put notes.txt', { stdin: 'from a pipe' })
  expect(piped.code).toBe(0)
  expect(piped.stderr).toContain('safe on local disk')

  const [list, bytes, file, status] = await Promise.all([
    here.run('ls'),
    here.run('get notes.txt'),
    here.run('get photos/cat.jpg out.jpg --json'),
    here.run('status --json'),
  ])
  expect(normalised(list.stdout, here.path)).toBe(
    '<time>         11 B  notes.txt\n<time>          9 B  photos/cat.jpg\n',
  )
  expect([bytes.stdout, bytes.stderr]).toEqual(['from a pipe', ''])
  expect(JSON.parse(file.stdout)).toMatchObject({ size: 9, contentType: 'image/jpeg', metadata: { owner: 'me' } })
  expect(await readFile(join(here.path, 'out.jpg'), 'utf8')).toBe('a picture')
  expect(JSON.parse(status.stdout)).toMatchObject({
    accepted: 2,
    pending: { writes: 1 },
    providers: [{ name: 'a' }, { name: 'b' }],
  })

  const removed = await here.run('rm photos/cat.jpg --json')
  expect(JSON.parse(removed.stdout)).toEqual({
    key: 'photos/cat.jpg',
    version: expect.stringMatching(/^[0-9a-f]{32}$/),
  })
  const drained = await here.run('drain --until verified')
  expect([drained.code, drained.stdout]).toEqual([
    0,
    'everything that was accepted is on every provider, looked at twice (3 writes)\n',
  ])
  const folders = await here.run('ls --delimiter / --json')
  expect(
    folders.stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line)),
  ).toMatchObject([{ type: 'object', key: 'notes.txt' }])
})

test.concurrent('what differs is 3; repaired, it is 0', async () => {
  await using here = await place()
  for (const key of ['x/1', 'x/2', 'x/3']) await here.write(key.replace('/', ''), `body of ${key}`)
  await Promise.all(['1', '2', '3'].map(n => here.run(`put x/${n} x${n}`)))
  expect(await here.run('drain --until verified')).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^a: 3 of 3 objects/m),
  })
  await rm(join(here.path, 'b', 'x', '2!f'))

  const compared = await here.run('reconcile --json')
  const lines = compared.stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { drift?: object; counters?: object })
  expect(lines[0]).toMatchObject({ drift: { kind: 'missing', key: 'x/2', repair: 'none' } })
  expect(lines.at(-1)).toMatchObject({ counters: { missing: 1, queued: 0 } })
  expect(compared.code).toBe(3)
  const [inspected, verified] = await Promise.all([here.run('inspect x/2 --json'), here.run('verify x/2')])
  expect(JSON.parse(inspected.stdout)).toMatchObject({ key: 'x/2', agree: false, journal: { isOpen: false } })
  expect(inspected.code).toBe(0)
  expect([verified.code, verified.stderr]).toEqual([
    3,
    'holdfast: x/2 is not the same everywhere; `holdfast reconcile --repair --deep` settles what can be settled\n',
  ])

  const repaired = await here.run('reconcile --repair')
  expect(repaired.stderr).toContain('1 repair done')
  expect(repaired.code).toBe(0)
  expect((await here.run('verify --prefix x/')).code).toBe(0)

  // A bucket that is not what it was: the guard, and its own exit code.
  await rm(join(here.path, 'b', '.holdfast', 'identity!f'))
  const stopped = await here.run('reconcile --repair --confirm')
  expect(stopped.stderr).toMatch(/^holdfast: the guard stopped the repair: b has lost \.holdfast\/identity/m)
  expect(stopped.code).toBe(4)
  const accepted = await here.run('accept-bucket b --why "its marker was removed by mistake" --json')
  expect(JSON.parse(accepted.stdout)).toEqual({ before: expect.stringMatching(/^[0-9a-f-]{36}$/) })
  const again = await here.run('accept-bucket b --why "the same"')
  expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('there is nothing to accept of "b"')])
})

test.concurrent('what is watched goes on until it is stopped; a reader who leaves is no failure', async () => {
  await using here = await place({ scrub: { objectsPerDay: 1000 } })
  await here.run('put k', { stdin: 'body' })
  const watching = here.start('status --watch --every 0.1 --json')
  await watching.said('\n{')
  watching.child.kill('SIGINT')
  const { code, stdout } = await watching.ended
  expect(code).toBe(130)
  expect(JSON.parse(stdout.split('\n')[1] ?? '')).toMatchObject({ accepted: 1, scrub: { pass: { checked: 0 } } })
  const left = here.start('status --watch --every 0.05')
  await left.said('accepted')
  left.child.stdout?.destroy()
  const { code: none, stderr } = await left.ended
  expect([none, stderr]).toEqual([0, ''])
})

test.concurrent('what waits for a provider that left the options is listed, and settled with a reason', async () => {
  await using here = await place({ replication: { run: 'external' }, mirrors: ['fs:/nowhere'] })
  const config = (mirrors: string[]) => ({
    directory: join(here.path, 'store'),
    ...spec(here.path),
    mirrors,
    holdMs: 0,
  })
  await here.write('with-c.json', JSON.stringify(config([`fs:${here.path}/c?name=c`])))
  await here.write('holdfast.config.json', JSON.stringify(config([])))
  await here.run('put k --config with-c.json', { stdin: 'body' })
  expect((await here.run('blocked list')).code).toBe(3)
  const early = await here.run('retire c --why "the account was closed" --yes --json')
  expect([JSON.parse(early.stdout), early.code]).toEqual([{ abandoned: 1, kept: 0 }, 0])
  const given = await here.run('blocked abandoned --json')
  expect(JSON.parse(given.stdout)).toMatchObject({ key: 'k', provider: 'c', why: 'the account was closed' })
  expect((await here.run('blocked')).stdout).toBe('nothing is blocked\n')
})

test.skipIf(!hasTerminal)('every command has a screen', { timeout: 60_000 }, async () => {
  await using here = await place()
  await mkdir(join(here.path, 'store'), { mode: 0o700 })
  await here.write('cat.jpg', 'a picture')
  expect(await keptScreen(here, 'help', '--help')).toBe(0)
  expect(await keptScreen(here, 'check', 'check')).toBe(0)
  expect(await keptScreen(here, 'put', 'put photos/1.jpg cat.jpg')).toBe(0)
  await Promise.all(['2', '3'].map(n => here.run(`put photos/${n}.jpg`, { stdin: `body ${n}` })))
  expect(await keptScreen(here, 'status', 'status')).toBe(0)
  expect(await keptScreen(here, 'drain', 'drain --until verified')).toBe(0)
  expect(await keptScreen(here, 'ls', 'ls photos/')).toBe(0)
  expect(await keptScreen(here, 'inspect', 'inspect photos/2.jpg --deep')).toBe(0)
  expect(await keptScreen(here, 'get', 'get photos/2.jpg out.jpg')).toBe(0)
  await rm(join(here.path, 'b', 'photos', '2.jpg!f'))
  expect(await keptScreen(here, 'reconcile', 'reconcile')).toBe(3)
  expect(await keptScreen(here, 'verify', 'verify photos/2.jpg')).toBe(3)
  expect(await keptScreen(here, 'repair', 'reconcile --repair')).toBe(0)
  await here.write(
    'three.json',
    JSON.stringify({
      directory: join(here.path, 'store'),
      ...spec(here.path),
      mirrors: [`fs:${here.path}/c?name=c`],
      holdMs: 0,
    }),
  )
  expect(await keptScreen(here, 'backfill', 'backfill --to c --config three.json', 'y\n')).toBe(0)
  expect(await keptScreen(here, 'evacuate', 'evacuate --from b --to c --config three.json --yes')).toBe(0)
  expect(await keptScreen(here, 'rm-no', 'rm --prefix photos/', 'n\n')).toBe(3)
  expect(await keptScreen(here, 'rm', 'rm --prefix photos/', 'y\n')).toBe(0)
  await here.run('put k --config three.json', { stdin: 'body' })
  expect(await keptScreen(here, 'blocked', 'blocked --provider c')).toBe(3)
  expect(await keptScreen(here, 'retire', 'retire c --why "moved elsewhere"', 'y\n')).toBe(0)
  const worker = await here.screen('worker', { keys: '\u0003', when: 'replicating' })
  expect(worker.code).toBe(130)
  expect(worker.screen).toMatch(/\n\^?C?stopping: |\nstopped; |stopped by SIGINT$/)
  expect(await keptScreen(here, 'wrong', 'drian')).toBe(2)
})

test.concurrent('a mass delete that nobody can be asked about is not begun', async () => {
  await using here = await place()
  await here.run('put k', { stdin: 'body' })
  const { code, stdout, stderr } = await here.run('rm --prefix k')
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).toBe(
    'holdfast: 1 key with the prefix k will be deleted everywhere. Go on? There is nobody to ask: say --yes if it is meant\n',
  )
})
