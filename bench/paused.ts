import { randomBytes } from 'node:crypto'
import { type Holdfast, openHoldfast } from '../src/index.ts'
import { memory } from '../src/providers/memory.ts'

/** A store that accepts and replicates nothing: no process of its directory does. */
export function openPaused(directory: string): Promise<Holdfast> {
  return openHoldfast({
    directory,
    primary: memory({ name: 'primary' }),
    secondary: memory({ name: 'secondary' }),
    replication: { run: 'external' },
    maxStageBytes: 2 ** 40,
  })
}

/** Bodies of one size that are not the same, and cost nothing to make while it is measured: windows onto one block of chance. */
export function bodiesOf(size: number): (i: number) => Uint8Array {
  const spare = 4_096
  const block = randomBytes(size + spare)
  return i => block.subarray(i % spare, (i % spare) + size)
}
