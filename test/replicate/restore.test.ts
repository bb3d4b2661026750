import { expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import type { Task, WriteRow } from '../../src/journal/contract.ts'
import { restoring, type RestoringDeps } from '../../src/replicate/restore.ts'
import { systemClock } from '../../src/core/system.ts'
import { eventually } from '../support/store.ts'

// Bodies that were damaged on local disk, beside a journal whose rows change while it commits.

function row(seq: number): WriteRow {
  const replicas = [
    { provider: 1, state: 'verified', token: 't' },
    { provider: 2, state: 'waiting', attempt: 0, reason: 'LOCAL_CORRUPT' },
  ]
  return { seq, key: `k${seq}`, state: 'open', kind: 'put', damaged: false, size: 1, replicas } as unknown as WriteRow
}

/** It says that it has the bodies, and gives none. */
const nothing = { classify: (error: unknown) => error } as unknown as Provider

const taskOf = (write: WriteRow): Task => ({ write, replica: write.replicas[1] }) as Task

test('a body whose write ends while its replica is put off keeps no later one from being fetched, or blocked (D10, I22)', async () => {
  const [first, second] = [row(1), row(2)]
  const rows = new Map([first, second].map(write => [write.seq, write]))
  const blocked: number[] = []
  const deps = {
    journal: { write: (seq: number) => rows.get(seq) },
    lease: {
      // The app puts the key anew, in the same commit or the one before it.
      async postpone(seq: number) {
        if (seq === 1) rows.set(1, { ...first, state: 'superseded' })
      },
      async block(seq: number) {
        blocked.push(seq)
      },
    },
    providers: new Map([[1, nothing]]),
    clock: systemClock,
    emit: () => {},
    signal: new AbortController().signal,
  } as unknown as RestoringDeps
  const restorer = restoring(deps)
  const at = { id: 2, name: 'b' }
  expect(await restorer.take(taskOf(first), at, 'damaged')).toBe(true)
  expect(await restorer.take(taskOf(second), at, 'damaged')).toBe(true)
  await eventually(() => blocked.length > 0, 2_000)
  expect(blocked).toEqual([2])
})
