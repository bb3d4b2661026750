import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { type Holdfast, openHoldfast } from '../src/index.ts'
import { memory } from '../src/providers/memory.ts'
import type { Contender } from './contract.ts'
import { manyAtATime } from './measure.ts'

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

export interface Puts {
  readonly name: string
  /** Where the store of a round is; nothing is left of it. */
  readonly directory: string
  /** Puts of a round, and how many of them are in flight. */
  readonly count: number
  readonly atATime: number
  readonly body: (i: number) => Uint8Array
  /** Default: names in order. */
  readonly keyOf?: (i: number) => string
}

/** Durable puts into a store that is new in each round, under a key each. */
export function puts({ name, directory, count, atATime, body, keyOf = i => `photos/${i}.jpg` }: Puts): Contender {
  let store: Holdfast | undefined
  return {
    name,
    async before() {
      store = await openPaused(directory)
    },
    async round() {
      const open = store as Holdfast
      return { ops: count, latenciesMs: await manyAtATime(count, atATime, i => open.put(keyOf(i), body(i))) }
    },
    async after() {
      await store?.close()
      await rm(directory, { recursive: true })
    },
  }
}
