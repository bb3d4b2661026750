import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { root, sourcesIn } from '../house/sources.ts'
import { errorSites } from './errors.ts'
import { judgeSites, shares, strays } from './judge.ts'
import { never } from './never.ts'
import { placeOf, pointsOf } from './points.ts'
import { counted } from './run.ts'
import { Tally } from './tally.ts'

/** What is not reached of it begins with `unseen`, and an `if` that never goes past is marked `always`. */
const program = `
import { fork } from 'node:child_process'
import { Worker, isMainThread, parentPort } from 'node:worker_threads'
interface Seen { readonly seen: boolean }
const seen = (value: unknown): Seen => ({ seen: Boolean(value) })
const unseen = (value: unknown) => {
  unseen(value)
}
function ways(given: boolean, other: number = seen(1) ? 2 : unseen(3)) {
  if (given) seen(other) // always
  if (given) seen(other)
  else unseen(other)
  if (!given) {
    unseen(given)
  }
  const value = given ? seen : unseen
  const made = given ? (at: number) => at : unseen
  const both = given && seen(value) && made(1)
  const either = (both ?? unseen(1)) || unseen(2)
  switch (other) {
    case 2: return either
    default: unseen(other)
  }
}
async function* steps() {
  yield 1
  await seen(2)
  if (seen(3).seen) return // always
  unseen(4)
}
if (!isMainThread) {
  parentPort?.on('message', text => parentPort?.postMessage(seen(text)))
} else if (process.argv[2] === 'child') {
  process.once('message', text => process.exit(text === 'go' ? 0 : unseen(1)))
  process.send?.('here')
} else {
  ways(true)
  for await (const step of steps()) seen(step)
  if (ways(true) === undefined) unseen(1)
  const worker = new Worker(new URL(import.meta.url))
  worker.once('message', () => {
    void worker.terminate()
    const child = fork(import.meta.filename, ['child'])
    child.once('message', () => child.send('go'))
  })
  worker.postMessage('text')
}
`

test('what is reached is counted as what stands in the source, in the thread that began, in one that is terminated and in a child', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-counted-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'program.ts'), program)
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  const sources = sourcesIn(relative(root, folder))
  const tally = new Tally(sources.map(source => ({ source, points: pointsOf(source) })))
  // Not what a run under coverage preloads into every process, which reports now and then besides.
  const plain = { NODE_OPTIONS: '' }
  const { code, reports, torn } = await counted(tally, [process.execPath, join(folder, 'program.ts')], plain)
  expect({ code, reports, torn }).toEqual({ code: 0, reports: 3, torn: 0 })
  const [file] = tally.files.values()
  const wrong = [...(file?.of('branch') ?? []), ...(file?.of('line') ?? [])].flatMap(({ point, isHit }) => {
    const { line } = placeOf(program, point.at)
    const text = program.split('\n')[line - 1] ?? ''
    const isUnseen =
      point.unlike === undefined
        ? /^\s*(unseen\(|unseen$|default:)/m.test(program.slice(point.at, point.at + 12))
        : text.endsWith('// always')
    return isUnseen === isHit ? [`${isHit ? '' : 'not '}reached: ${line} ${text}`] : []
  })
  expect(wrong).toEqual([])
  expect(shares(tally)[0]?.branch).toEqual({ all: 31, hit: 19 })
})

test('places where errors are made are found, with what they say, and each that is listed as never made is one of them', () => {
  const sources = sourcesIn('src').filter(({ path }) => !path.startsWith('src/testing/'))
  const sites = errorSites(sources)
  expect(strays(sites, never)).toEqual([])
  expect(sites).toContainEqual(
    expect.objectContaining({ path: 'src/journal/connect.ts', code: ['CLOSED'], text: expect.stringMatching(/^new /) }),
  )
  expect(sites).toContainEqual(
    expect.objectContaining({ path: 'src/holdfast/input/key.ts', code: ['INVALID'], field: ['key'], rule: ['length'] }),
  )
  expect(new Set(sites.flatMap(({ code }) => code)).size).toBe(11)
})

test('a place that nothing reached is wrong, and so is one that is listed and was reached', () => {
  const [source] = sourcesIn('src/journal').filter(({ path }) => path === 'src/journal/connect.ts')
  if (source === undefined) throw new Error('the journal moved')
  const sites = errorSites([source])
  const tally = new Tally([{ source, points: sites.map(({ at }) => ({ kind: 'error', at })) }])
  const listed = sites.map(({ path, text }) => ({ path, text, why: '' }))
  expect(judgeSites(tally, sites, []).wrong).toHaveLength(1)
  expect(judgeSites(tally, sites, listed).wrong).toEqual([])
  const whole = { startOffset: 0, endOffset: source.text.length, count: 1 }
  tally.add({
    result: [{ url: new URL(`../../${source.path}`, import.meta.url).href, functions: [{ ranges: [whole] }] }],
  })
  expect(judgeSites(tally, sites, []).wrong).toEqual([])
  expect(judgeSites(tally, sites, listed).wrong).toHaveLength(1)
})
