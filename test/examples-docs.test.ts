import { globSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { atLocalClouds, blocksOf, featureTable, withoutLines } from './examples/page.ts'
import { programsOf } from './examples/programs.ts'
import { providersOf, startClouds } from './support/clouds.ts'
import { bodyAt } from './support/store.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const page = readFileSync(join(root, 'docs/wrap-existing-s3-code.md'), 'utf8')

test('all code of the page stands in an example, which is compiled and run', () => {
  const examples = globSync('examples/**/*.ts', { cwd: root }).map(path => readFileSync(join(root, path), 'utf8'))
  const blocks = blocksOf(page, 'ts')
  expect(blocks.length).toBeGreaterThan(3)
  expect(blocks.filter(block => !examples.some(example => example.includes(block)))).toEqual([])
})

test('the table of features is what the drivers go by', () => {
  expect(page).toContain(`\n${featureTable()}\n`)
})

test('what the page links to is there', () => {
  const links = [...page.matchAll(/\]\(([^)#]+)\)/g)].map(([, path = '']) => path)
  expect(links.length).toBeGreaterThan(5)
  for (const path of links) expect(() => readFileSync(join(root, 'docs', path)), path).not.toThrow()
})

test('the two lines of the page are enough: its code runs as it stands, before and after', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-page-'))
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'))
  await using started = await startClouds()
  const [primary, secondary] = providersOf(started.clouds)
  const [diff = ''] = blocksOf(page, 'diff')
  const steps = {
    before: { code: withoutLines(diff, '+'), end: '' },
    after: { code: withoutLines(diff, '-'), end: 'await store.drain(); await store.close()' },
  }
  for (const [step, { code, end }] of Object.entries(steps)) {
    const program = join(directory, `${step}.mts`)
    const around = `const photo = Buffer.alloc(100_000, '${step}')
      ${atLocalClouds(code, started, join(directory, 'store'))}
      const bytes = await Body?.transformToByteArray()
      ${end}
      console.log(photo.equals(bytes ?? photo.subarray(1)), client instanceof S3Client)`
    await writeFile(program, around)
    expect(await programsOf(started, directory).run(program)).toEqual({ code: 0, text: 'true true\n' })
    const expected = Buffer.alloc(100_000, step)
    expect((await bodyAt(primary, 'cat.jpg'))?.equals(expected)).toBe(true)
    expect((await bodyAt(secondary, 'cat.jpg'))?.equals(expected)).toBe(step === 'after' ? true : undefined)
  }
  await rm(directory, { recursive: true, force: true })
})
