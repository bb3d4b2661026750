import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'

const demo = fileURLToPath(new URL('../demo/demo.ts', import.meta.url))
/** The demo promises a minute; a machine that runs other tests beside it may need more. */
const patienceMs = 120_000

describe('the demo', () => {
  test(
    'a silent primary and a kill -9 lose nothing: every put is on both clouds, and nothing is left behind',
    async () => {
      const folder = await files()
      const run = await start([folder])
      const children = new Set<number>()
      while (run.child.exitCode === null && run.child.signalCode === null) {
        for (const pid of await childrenOf(run.child.pid ?? 0)) children.add(pid)
        await Promise.race([run.ended, wait(200)])
      }
      const { code, output, errors } = await run.ended

      expect(errors).toBe('')
      expect(output).toContain('Nothing was lost.')
      expect(code).toBe(0)
      const value = (row: string) => new RegExp(`^ +${row} +(\\S+)`, 'm').exec(output)?.[1]
      expect(value('puts acknowledged')).toBe('60')
      expect(value('puts lost')).toBe('0')
      expect(value('puts failed')).toBe('0')
      expect(value('reads failed')).toBe('0')
      expect(value('proved at s3')).toBe('60')
      expect(value('proved at gcs')).toBe('60')
      expect(Number(value('reads answered'))).toBeGreaterThan(20)
      for (const row of [
        'slowest read',
        'outage detected after',
        'drained after',
        'looked at twice after',
        'total time',
      ])
        expect(Number(value(row)), row).toBeGreaterThan(0)
      // Not a terminal: no colours, no cursor, a line every two seconds.
      expect(output).not.toContain('\x1b')
      expect(output.match(/^ {2}acknowledged \d+\/60; s3 \(primary\) \d+\/60/gm)?.length).toBeGreaterThan(5)
      expect(output).toMatch(/s3 \(primary\) \d+\/60 \(silent, not noticed\)/)

      // Two clouds and two lives of the writer.
      if (process.platform === 'linux') expect(children.size).toBe(4)
      await expectNothingLeft(run, children)
    },
    patienceMs,
  )

  test(
    'ends on ^C in the middle, with nothing left behind',
    async () => {
      const run = await start([await files()])
      await run.said('3. The primary cloud goes silent.')
      const children = await childrenOf(run.child.pid ?? 0)
      // As a terminal and npm do it together.
      run.child.kill('SIGINT')
      run.child.kill('SIGINT')
      const { code, errors } = await run.ended
      expect(code).toBe(130)
      expect(errors).toBe('')
      await expectNothingLeft(run, children)
    },
    patienceMs,
  )

  test.for([
    ['a folder that is not there', 'missing', 'there is no such file or folder'],
    ['a file', 'file.txt', 'it is not a folder'],
    ['an empty folder', 'empty', 'has no files'],
  ] as const)('says in one line what is wrong with %s, and exits with 2', async ([, name, why]) => {
    const parent = await temporary()
    await mkdir(join(parent, 'empty'))
    await writeFile(join(parent, 'file.txt'), 'text')
    const run = await start([join(parent, name)])
    const { code, output, errors } = await run.ended
    expect(code).toBe(2)
    expect(output).toBe('')
    expect(errors).toMatch(/^demo: [^\n]+\n$/)
    expect(errors).toContain(join(parent, name))
    expect(errors).toContain(why)
  })
})

/** Three files of three sizes, one of them with a name that is no URL. */
async function files(): Promise<string> {
  const folder = await temporary()
  await mkdir(join(folder, 'sub folder'))
  await writeFile(join(folder, 'empty.txt'), '')
  await writeFile(join(folder, 'small.png'), randomBytes(5_000))
  await writeFile(join(folder, 'sub folder', '100 % größer?#.bin'), randomBytes(300_000))
  return folder
}

interface Run {
  readonly child: ChildProcess
  /** Where it may keep temporary files. */
  readonly place: string
  readonly ended: Promise<{ readonly code: number | null; readonly output: string; readonly errors: string }>
  said(text: string): Promise<void>
}

async function start(args: readonly string[]): Promise<Run> {
  const place = await temporary()
  const child = spawn(process.execPath, [demo, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: place },
  })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const ended = new Promise<Awaited<Run['ended']>>(resolve => {
    child.once('close', code => resolve({ code, output, errors }))
  })
  onTestFinished(async () => {
    child.kill('SIGTERM')
    await ended
  })
  const said = async (text: string) => {
    while (!output.includes(text) && child.exitCode === null) await Promise.race([wait(20), ended])
  }
  return { child, place, ended, said }
}

async function expectNothingLeft({ place }: Run, children: Iterable<number>): Promise<void> {
  expect(await readdir(place)).toEqual([])
  for (const pid of children) expect(isThere(pid), `process ${pid}`).toBe(false)
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Linux only: elsewhere none is seen. */
async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return text.split(' ').filter(Boolean).map(Number)
}

async function temporary(): Promise<string> {
  const path = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-demo-test-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}
