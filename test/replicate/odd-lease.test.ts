import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { makeVersion } from '../../src/core/version.ts'
import type { Journal, Lease } from '../../src/journal/contract.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { type Faults, outage } from '../../src/testing/faulty/rules.ts'
import { eventually, bodyAt } from '../support/store.ts'
import { mending, putAt } from './mending.ts'

// A journal that goes wrong while a replica's fate is written down.

/** One call of the first lease fails with something that nobody foresaw. */
function failingOnce(journal: Journal, call: 'postpone' | 'releasable' | 'restore', error: Error): void {
  const { lease } = journal
  let isDue = true
  Object.assign(journal, {
    async lease() {
      const held = await lease.call(journal)
      if (held === undefined || !isDue) return held
      const odd = {
        [call]() {
          if (!isDue) throw new Error('the lease was given up')
          isDue = false
          throw error
        },
      }
      return Object.assign(Object.create(held) as Lease, odd)
    },
  })
}

const version = makeVersion(1_700_000_000_000, 0, '00000000000000aa')
const repair = { key: 'k', wanted: { is: 'object', version, source: 1 }, targets: [2] } as const

test.concurrent('a journal that cannot write down what went wrong at a provider ends the reign, and that is said', async () => {
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  await putAt(a, 'k', 'body', { version })
  const failures: HoldfastError[] = []
  const down = { on: 'put', key: 'k', fault: outage } as const
  await using m = await mending([a, faulty(b, { rules: [down] })], { failed: error => void failures.push(error) })
  const bug = new TypeError('a bug')
  failingOnce(m.journal, 'postpone', bug)
  await m.mend(repair)
  m.replicate()
  await eventually(() => failures.length > 0)
  expect(failures).toMatchObject([{ code: 'CORRUPT', message: 'a bug', cause: bug }])
  expect(m.repairs().writes).toBe(1)
})

test.concurrent('a journal that breaks where it is kept in order ends the reign, and that is said; the next one goes on', async () => {
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  await putAt(a, 'k', 'body', { version })
  const failures: HoldfastError[] = []
  await using m = await mending([a, b], { failed: error => void failures.push(error) })
  const bug = new TypeError('a bug')
  failingOnce(m.journal, 'releasable', bug)
  await m.mend(repair)
  m.replicate()
  await eventually(() => m.repairs().writes === 0)
  expect(failures).toMatchObject([{ code: 'CORRUPT', message: 'a bug', cause: bug }])
  expect(String(await bodyAt(b, 'k'))).toBe('body')
})

test.concurrent('a journal that takes nothing any more where a body that was fetched anew is written down ends the reign, and that is said; the next one goes on (D10, I4)', async () => {
  const [a, b, c] = [memory({ name: 'a' }), memory({ name: 'b' }), memory({ name: 'c' })]
  const body = Buffer.alloc(50_000, 'body')
  await putAt(a, 'k', body, { version })
  const failures: HoldfastError[] = []
  const faults: Faults = {}
  await using m = await mending([a, b, faulty(c, faults)], { failed: error => void failures.push(error) })
  // Once another has it, the body is damaged on local disk.
  const damage = async () => {
    const { body: local } = await eventually(() => {
      const write = m.journal.write(1)
      return write?.replicas.some(({ state }) => state === 'verified') ? write : undefined
    })
    const file = local.in === 'file' ? join(m.path, 'bodies', local.file) : ''
    writeFileSync(file, Buffer.alloc(50_000, 'damaged'))
  }
  faults.rules = [{ on: 'put', key: 'k', times: 1, fault: { kind: 'before', run: damage } }]
  const poisoned = { field: 'directory', rule: 'poisoned', outcome: 'rejected' } as const
  const failed = new HoldfastError('CORRUPT', 'a write of another process failed', poisoned)
  failingOnce(m.journal, 'restore', failed)
  await m.mend({ ...repair, targets: [2, 3] })
  m.replicate()
  await eventually(() => m.repairs().writes === 0)
  expect(failures).toEqual([failed])
  expect((await bodyAt(c, 'k'))?.equals(body)).toBe(true)
})
