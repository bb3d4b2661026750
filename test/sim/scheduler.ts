import { crc32c } from '../../src/core/digest.ts'
import { seededRandom } from '../../src/testing/clock.ts'
import type { Random } from '../../src/core/ports.ts'

/** So many events at one moment are somebody who turns on the spot. */
const mostAtOnce = 200_000

interface Event {
  readonly at: number
  /** Among events of one moment, chance decides: nobody may count on who is first. */
  readonly tie: number
  readonly order: number
  run: (() => void) | undefined
}

/**
 * The time of a simulated world: nothing happens but the next event, and what it sets off. The order is decided by the seed and by nothing else, so that a world
 * does the same each time.
 */
export interface Scheduler {
  /** The same numbers each time for the same seed and name: what one part of a world draws changes nothing for the others. */
  randomOf(name: string): Random
  /** Milliseconds since the world began. */
  readonly elapsed: number
  /** Runs later; the answer takes that back. */
  after(ms: number, run: () => void): () => void
  /** Lets this much time pass. */
  advance(ms: number): Promise<void>
  /** Lets time pass until it is so, at most so long; answers whether it is. */
  until(isSo: () => boolean, mostMs: number): Promise<boolean>
  /** Notes what happened: all that is noted makes the trace. */
  note(text: string): void
  /** Of all that was noted, in order. */
  readonly trace: { readonly hash: string; readonly length: number; readonly lines: readonly string[] }
  /** How many events there were. */
  readonly events: number
}

export interface SchedulerOptions {
  readonly seed: number
  /** Keep what was noted, besides its hash. */
  readonly keepsTrace?: boolean
}

export function scheduler({ seed, keepsTrace = false }: SchedulerOptions): Scheduler {
  const random = seededRandom(seed)
  const heap: Event[] = []
  const lines: string[] = []
  let elapsed = 0
  let order = 0
  let events = 0
  let atOnce = 0
  let noted = 0
  // Two halves of a 64 bit FNV-1a are cheaper than one number that JavaScript cannot multiply.
  let low = 0x811c9dc5
  let high = 0x01000193

  const isBefore = (a: Event, b: Event) =>
    a.at !== b.at ? a.at < b.at : a.tie !== b.tie ? a.tie < b.tie : a.order < b.order

  function push(event: Event): void {
    heap.push(event)
    for (let at = heap.length - 1; at > 0; ) {
      const above = (at - 1) >> 1
      if (!isBefore(event, heap[above] as Event)) break
      heap[at] = heap[above] as Event
      heap[above] = event
      at = above
    }
  }

  function pop(): Event | undefined {
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    heap[0] = last
    for (let at = 0; ; ) {
      let next = 2 * at + 1
      if (next >= heap.length) break
      if (next + 1 < heap.length && isBefore(heap[next + 1] as Event, heap[next] as Event)) next++
      if (!isBefore(heap[next] as Event, last)) break
      heap[at] = heap[next] as Event
      heap[next] = last
      at = next
    }
    return first
  }

  /** The next event up to then, and all that it sets off. False: there is none. */
  async function step(end: number): Promise<boolean> {
    while (heap[0] !== undefined && heap[0].run === undefined) pop()
    const next = heap[0]
    if (next === undefined || next.at > end) return false
    pop()
    atOnce = next.at === elapsed ? atOnce + 1 : 0
    if (atOnce > mostAtOnce) throw new Error(`${mostAtOnce} events at ${elapsed} ms: somebody does not wait`)
    elapsed = next.at
    events++
    const { run } = next
    next.run = undefined
    run?.()
    await settled()
    return true
  }

  return {
    randomOf: name => seededRandom(crc32c(Buffer.from(`${seed} ${name}`))),
    get elapsed() {
      return elapsed
    },
    get events() {
      return events
    },
    after(ms, run) {
      const event: Event = { at: elapsed + Math.max(0, ms), tie: random.number(), order: order++, run }
      push(event)
      return () => {
        event.run = undefined
      }
    },
    async advance(ms) {
      const end = elapsed + ms
      await settled()
      while (await step(end));
      elapsed = end
    },
    async until(isSo, mostMs) {
      const end = elapsed + mostMs
      await settled()
      while (!isSo()) if (!(await step(end))) break
      if (!isSo()) elapsed = end
      return isSo()
    },
    note(text) {
      noted++
      const line = `${elapsed.toFixed(3)} ${text}`
      for (let at = 0; at < line.length; at++) {
        low = Math.imul(low ^ line.charCodeAt(at), 0x01000193)
        high = Math.imul(high ^ low, 0x85ebca6b)
      }
      if (keepsTrace) lines.push(line)
    },
    get trace() {
      const hex = (half: number) => (half >>> 0).toString(16).padStart(8, '0')
      return { hash: hex(high) + hex(low), length: noted, lines }
    },
  }
}

/** Everything that can go on without another event has gone on: there is no other I/O, so that this is one turn of the event loop. */
function settled(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
