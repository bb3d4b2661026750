import { expect, test, vi } from 'vitest'
import { flips } from './flips.ts'

// Processes and mounts: seconds where the machine has nothing else to do, many more where it has.
vi.setConfig({ testTimeout: 60_000 })

test('a bit flipped in the head of a journal, in an index, or in the state of a write is found when it is opened (D10, J6, I7)', async () => {
  const { journal, after } = await flips()
  // In the index by key, before the page of the table's last rows, and in a row.
  const indexed = journal.indexOf('replaced row', 6 * 4096)
  const state = journal.indexOf('putappopen', 4096)
  for (const at of [0, 16, 100, indexed, state + 'putapp'.length])
    expect(await after(at, 0), `byte ${at}`).toBe('refused')
})
