import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Finding, Row } from '../bench/contract.ts'
import { comparison, inTurn } from '../bench/measure.ts'
import { readOptions } from '../bench/options.ts'
import { runText, withRun } from '../bench/page.ts'
import { outcomeOf, tableOf } from '../bench/words.ts'

// What the benchmark says of what it found; not how fast anything is.

const made = { opsPerSecond: 12_345.6, cpuUsPerOp: 78.9, loopP99Ms: 1.234 }

function finding(name: string, value: number, target: Finding['target'], unit: Finding['unit'] = ''): Finding {
  return { name, value, unit, target, from: { [name]: { ...made, p50Ms: 1, p99Ms: 9.5 } } }
}

const row = { id: 4, name: 'one stream' }

test('the JSON of a row has its id, name and target, the ratio that is furthest from it, and whether all were met', () => {
  const fine = outcomeOf(row, [finding('put', 0.9, { atLeast: 0.7 }), finding('memory', 90, { atMost: 96 }, 'MiB')])
  expect(JSON.parse(JSON.stringify({ rows: [fine] }))).toMatchObject({
    rows: [{ id: 4, name: 'one stream', ratio: 90, target: '≤ 96 MiB', met: true, findings: [{}, {}] }],
  })
  const missed = outcomeOf(row, [finding('put', 0.35, { atLeast: 0.7 }), finding('memory', 97, { atMost: 96 }, 'MiB')])
  expect(missed).toMatchObject({ ratio: 0.35, target: '≥ 0.7', met: false })
  expect(missed.findings.map(({ met }) => met)).toEqual([false, false])
  // One that is missed is enough, however well the others are.
  expect(outcomeOf(row, [finding('a', 9, { atLeast: 1 }), finding('b', 0.99, { atLeast: 1 })]).met).toBe(false)
})

test('a target is met where it is just reached, and a number that could not be made meets nothing', () => {
  expect(outcomeOf(row, [finding('put', 0.25, { atLeast: 0.25 })]).met).toBe(true)
  expect(outcomeOf(row, [finding('open', 3, { atMost: 3 }, 's')]).met).toBe(true)
  expect(outcomeOf(row, [finding('put', Number.NaN, { atLeast: 0.25 })]).met).toBe(false)
  expect(() => outcomeOf(row, [])).toThrow('row 4 found nothing')
})

test('the table has a line for each finding, with what it was made of', () => {
  const found = outcomeOf(row, [
    finding('put', 0.456, { atLeast: 0.7 }),
    finding('memory', 90.12, { atMost: 96 }, 'MiB'),
  ])
  expect(tableOf([found]).split('\n')).toEqual([
    '| id | what | finding | value | target | met | medians |',
    '|---|---|---|---|---|---|---|',
    '| 4 | one stream | put | 0.46 | ≥ 0.7 | **no** | put: 12346/s, 78.9 µs CPU, p50 1.00 ms, p99 9.50 ms, loop p99 1.23 ms |',
    '|  |  | memory | 90.1 MiB | ≤ 96 MiB | yes | memory: 12346/s, 78.9 µs CPU, p50 1.00 ms, p99 9.50 ms, loop p99 1.23 ms |',
  ])
})

test('contenders take turns, the first round does not count, and a ratio is of those of one round', async () => {
  const order: string[] = []
  const contender = (name: string) => ({
    name,
    round: async () => ({ ops: order.push(name) }),
  })
  const samples = await inTurn([contender('a'), contender('b')], 2, () => {})
  expect(order).toEqual(['a', 'b', 'b', 'a', 'a', 'b'])
  const sample = (opsPerSecond: number) => ({ seconds: 1, cpuUsPerOp: 1, loopP99Ms: 0, opsPerSecond })
  expect(samples.get('a')).toHaveLength(2)
  const busy = new Map([
    ['a', [sample(10), sample(1), sample(30)]],
    ['b', [sample(20), sample(2), sample(20)]],
  ])
  const { value, from } = comparison(busy, ['a', 'b'], { atLeast: 1 })
  expect(value).toBe(0.5)
  expect(from).toMatchObject({ a: { opsPerSecond: 10 }, b: { opsPerSecond: 20 } })
})

test('a run replaces the one before in its page, and nothing else there', () => {
  const page = readFileSync('docs/performance.md', 'utf8')
  const outcomes = [outcomeOf(row, [finding('put', 0.9, { atLeast: 0.7 })])]
  const at = new Date('2026-01-02T03:04:05Z')
  const run = runText(outcomes, at, { cpus: 2, model: 'a processor', node: 'v24.1.0', system: '6.1' })
  expect(run).toContain('Measured on 2026-01-02 on 2 cores (a processor), Node 24.1.0, Linux 6.1: 1 of 1 rows met.')
  const once = withRun(page, 'page', run)
  expect(withRun(once, 'page', run)).toBe(once)
  expect(withRun(once, 'page', 'later')).toBe(withRun(page, 'page', 'later'))
  expect(once.startsWith(page.slice(0, page.indexOf('<!-- what follows')))).toBe(true)
  expect(() => withRun('nothing', 'page.md', run)).toThrow('page.md has no place for a run')
})

test('what several commands write into one page stands apart', () => {
  const page = readFileSync('docs/performance.md', 'utf8')
  const [bench, requests] = ['npm run bench -- --page FILE', 'npm run bench:requests -- --page FILE']
  const both = withRun(withRun(page, 'page', 'rows', bench), 'page', 'requests', requests)
  expect(withRun(withRun(page, 'page', 'requests', requests), 'page', 'rows', bench)).toBe(both)
  expect(both).toContain(`written by ${bench} -->\nrows\n<!--`)
  expect(both).toContain(`written by ${requests} -->\nrequests\n<!--`)
  expect(() => withRun(page, 'page.md', 'run', 'another')).toThrow('page.md has no place for a run')
})

const rows = [1, 5, 12].map(id => ({ id, name: '', rounds: 3 }) as Row)

test('flags choose rows by id, in their own order', () => {
  expect(readOptions([], rows).chosen).toEqual(rows)
  expect(readOptions(['--rows', '12,1'], rows).chosen.map(({ id }) => id)).toEqual([1, 12])
  expect(readOptions(['--rounds', '2'], rows)).toMatchObject({ rounds: 2, json: undefined })
})

test.for([
  [['--rows', '2'], "--rows: there is no row '2'; there are 1, 5, 12"],
  [['--rows', '1,'], "--rows: there is no row ''; there are 1, 5, 12"],
  [['--rounds', '0'], "--rounds must be a whole number above 0, got '0'"],
  [['--json', '/is not there/out.json'], '/is not there is not there, so that nothing could be written'],
  [['--row', '1'], "Unknown option '--row'"],
  [['1'], "Unexpected argument '1'"],
] as const)('%s is refused before anything is measured', ([args, message]) => {
  expect(() => readOptions(args, rows)).toThrow(message)
})

test('a page without a place for a run is refused before anything is measured', () => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  writeFileSync(join(directory, 'page.md'), '# A page\n')
  expect(() => readOptions(['--page', join(directory, 'page.md')], rows)).toThrow('has no place for a run')
})

test('the count of requests refuses what it does not understand in one line', () => {
  const { status, stderr } = spawnSync(process.execPath, ['bench/requests.ts', '--rounds', 'none'], {
    encoding: 'utf8',
  })
  expect(status).toBe(2)
  expect(stderr).toBe(
    "--rounds must be a whole number above 0, got 'none'; usage: npm run bench:requests -- [--rounds N] [--page FILE]\n",
  )
})

test('flags that are not understood end the program with exit code 2 and one line', () => {
  const ended = spawnSync(process.execPath, ['bench/main.ts', '--rows', '99'], { encoding: 'utf8' })
  expect(ended.status).toBe(2)
  expect(ended.stdout).toBe('')
  expect(ended.stderr).toMatch(/^--rows: there is no row '99'; there are [\d, ]+; usage: npm run bench .*\n$/)
})
