import { appendFile, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { inProcess, type Place, place, spec } from './run.ts'

// Commands that ran, and whose answer is no 0: what is said last, and the number.

/** A place where `keys` are on both providers. */
async function placeWith(...keys: readonly string[]): Promise<Place> {
  const here = await place()
  for (const key of keys) {
    await here.write('body', `body of ${key}`)
    await inProcess(here.path, `put ${key} body`)
  }
  const { code } = await inProcess(here.path, 'drain --until verified')
  expect(code).toBe(0)
  return here
}

async function withMirror(here: Place): Promise<void> {
  const options = { directory: join(here.path, 'store'), ...spec(here.path), mirrors: [`fs:${here.path}/c?name=c`] }
  await here.write('three.json', JSON.stringify({ ...options, holdMs: 0 }))
}

test.concurrent('a provider whose directory is not there is wrong: 1', async () => {
  await using here = await place()
  await rm(join(here.path, 'b'), { recursive: true })
  const { code, stdout, stderr } = await inProcess(here.path, 'check')
  expect(stdout).toMatch(/^ok {6}a\n(?: {8}[^\n]+\n)*wrong {3}b\n {8}[^\n]*\/b is not there/)
  expect([code, stderr]).toEqual([1, 'holdfast: 1 provider cannot be used as it is: b\n'])
})

test.concurrent('keys that are not the same everywhere are counted where a prefix is verified: 3', async () => {
  await using here = await placeWith('x/1', 'x/2')
  await rm(join(here.path, 'b', 'x', '2!f'))
  const { code, stderr } = await inProcess(here.path, 'verify --prefix x/')
  expect(stderr).toMatch(
    /^holdfast: 1 key not the same everywhere; `holdfast reconcile --repair --deep` settles what can be settled$/m,
  )
  expect(code).toBe(3)
})

test.concurrent('an object whose only copies are damaged cannot be brought to a provider: it is named, and 3', async () => {
  await using here = await placeWith('good', 'rotten')
  for (const name of ['a', 'b']) await appendFile(join(here.path, name, 'rotten!f'), 'rot')
  await withMirror(here)
  const { code, stdout, stderr } = await inProcess(here.path, 'backfill --to c --config three.json --yes')
  expect(stdout).toMatch(/^impossible: rotten: /m)
  expect(stderr).toMatch(
    /^holdfast: 1 object cannot be brought to c: no copy of them can be read, or the copy is damaged$/m,
  )
  expect(code).toBe(3)
})

test.concurrent('prices that cannot be read name their file: 2', async () => {
  await using here = await place()
  await mkdir(join(here.path, 'store'), { mode: 0o700 })
  await here.write('prices.json', '{ a: 1 }')
  const estimate = (file: string) => inProcess(here.path, `backfill --to b --estimate --prices ${file}`)
  const [absent, wrong] = [await estimate('none.json'), await estimate('prices.json')]
  expect(absent.stderr).toMatch(/^holdfast: --prices: \S+\/none\.json: ENOENT[^\n]+\n$/)
  expect(wrong.stderr).toMatch(/^holdfast: --prices: \S+\/prices\.json: [^\n]*JSON[^\n]*\n$/)
  expect([absent.code, absent.stdout, wrong.code, wrong.stdout]).toEqual([2, '', 2, ''])
})

test.concurrent('a file that cannot be written names its path, and nothing is left beside it: 1', async () => {
  await using here = await place()
  await here.write('body', 'body of k')
  await inProcess(here.path, 'put k body')
  const absent = await inProcess(here.path, 'get k none/out.txt')
  expect(absent.stderr).toMatch(/^holdfast: \S+\/none\/out\.txt: ENOENT[^\n]+\n$/)
  await mkdir(join(here.path, 'taken'))
  const taken = await inProcess(here.path, 'get k taken')
  expect(taken.stderr).toMatch(/^holdfast: \S+\/taken: EISDIR[^\n]+\n$/)
  expect([absent.code, absent.stdout, taken.code, taken.stdout]).toEqual([1, '', 1, ''])
  expect((await readdir(here.path)).filter(name => name.includes('.holdfast-'))).toEqual([])
  await inProcess(here.path, 'get k out.txt')
  expect(await readFile(join(here.path, 'out.txt'), 'utf8')).toBe('body of k')
})

test.concurrent('a write that no other provider has is kept when its provider is retired, and 3', async () => {
  await using here = await place()
  await here.write('body', 'only here')
  await inProcess(here.path, 'put k body')
  const others = { primary: `fs:${here.path}/c?name=c`, secondary: `fs:${here.path}/d?name=d` }
  await mkdir(join(here.path, 'd'))
  await here.write('others.json', JSON.stringify({ directory: join(here.path, 'store'), ...others, holdMs: 0 }))
  const retire = (name: string) => inProcess(here.path, `retire ${name} --why closed --yes --config others.json`)
  expect(await retire('a')).toMatchObject({ code: 0, stdout: '1 write given up\n' })
  const { code, stdout, stderr } = await retire('b')
  expect(stdout).toBe('0 writes given up\n')
  expect(stderr).toMatch(
    /^holdfast: 1 write kept: no other provider has them: bring them to another one first [^\n]+$/m,
  )
  expect(code).toBe(3)
})
