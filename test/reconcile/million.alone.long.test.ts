import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
import { checkDirectory } from '../support/directory.ts'
import { differenceOf, keyOf } from './generated.ts'

const count = 1_000_000
const every = 1_000

const planted = new Set<string>()
for (let index = 0; index < count; index++) if (differenceOf(index, every) !== 'none') planted.add(keyOf(index))

interface End {
  readonly compared: number
  readonly cursor: string
  readonly seconds: number
  readonly grownMiB: number
}

/** Runs the child; kills it with SIGKILL at the first difference that `killAt` names. */
async function life(path: string, how: 'begin' | 'resume' | 'measure', killAt: (key: string) => boolean) {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'million-child.ts'), path, String(count), String(every), how],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const keys: string[] = []
  let end: End | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    const [kind = '', rest = ''] = line.split(/ (.*)/)
    if (kind === 'end') end = JSON.parse(rest) as End
    else keys.push(rest)
    if (killAt(rest)) child.kill('SIGKILL')
  }
  return { keys, end }
}

async function scratch(): Promise<string> {
  const path = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-million-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

test('a million keys a side: 100,000 a second, within 100 MiB, and exactly what differs', async () => {
  expect(planted.size).toBe(1_000)
  const path = await scratch()
  const { keys, end } = await life(path, 'measure', () => false)
  expect(keys).toEqual([...planted])
  process.stdout.write(`${JSON.stringify(end)}: ${Math.round(count / (end?.seconds ?? 1))} keys a second\n`)
  expect(end?.compared).toBe(count)
  expect(count / (end?.seconds ?? Infinity)).toBeGreaterThanOrEqual(100_000)
  expect(end?.grownMiB).toBeLessThanOrEqual(100)
  await checkDirectory(`${path}/store`)
})

test('killed at the half and resumed: both together find exactly what differs, and the second does not begin anew', async () => {
  const path = await scratch()
  const half = keyOf(count / 2)
  const first = await life(path, 'begin', key => key > half)
  expect(first.end).toBeUndefined()
  const second = await life(path, 'resume', () => false)
  expect(new Set([...first.keys, ...second.keys])).toEqual(planted)
  expect(second.end?.compared).toBeLessThan(count)
  await checkDirectory(`${path}/store`)
})
