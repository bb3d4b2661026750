import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { HoldfastError } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import { connect, type Writer } from './connect.ts'
import type { WriteRow } from './contract.ts'
import type { JournalOptions, OpenedJournal } from './port.ts'
import { look } from './look.ts'
import { inOurWords } from './looking.ts'
import { lookSettled } from './look-settled.ts'
import type { Answer, Opened, Request, WorkerOptions } from './protocol.ts'
import { rebuild } from './protocol.ts'
import { asJournalError, openForReading } from './schema.ts'

/** How often changes of other processes are looked for, while somebody listens. */
const pollMs = 100

/**
 * Opens the journal of a directory: SQLite, written by a worker thread. Rejects with INVALID journal/version, CORRUPT journal/damaged or
 * directory/poisoned (another process has it open after a failed write), UNAVAILABLE journal/version (a process of an older version still has
 * open what this one would take over; waited for 5 s), UNSUPPORTED where this SQLite cannot keep the promise.
 */
export async function openJournal(options: JournalOptions): Promise<OpenedJournal> {
  const writer = startWriter(options)
  try {
    const { poisoned } = (await writer.call('open')) as Opened
    const database = openForReading(join(options.path, 'journal.sqlite'))
    const looking = look(database)
    const { directory, clock } = options
    const journal = connect({
      directory,
      clock,
      writer,
      looking: inOurWords({ ...looking, ...lookSettled(database), close: () => database.close() }, options.path),
      others: polled(looking, clock),
    })
    return {
      journal,
      verification: poisoned
        ? { bodies: () => allBodies(looking), done: () => writer.call('cleared') as Promise<void> }
        : undefined,
    }
  } catch (error) {
    await writer.end()
    throw asJournalError(error, options.path)
  }
}

function* allBodies(looking: ReturnType<typeof look>): Iterable<WriteRow> {
  let after = 0
  for (let page = looking.withBodies(after); page.length > 0; page = looking.withBodies(after)) {
    yield* page
    after = page.at(-1)?.seq ?? after
  }
}

/** While somebody listens, SQLite's own counter is looked at, which moves when another connection committed. */
function polled(looking: ReturnType<typeof look>, clock: Clock): (tell: () => void) => () => void {
  return tell => {
    const stop = new AbortController()
    let seen: number | undefined
    const lookOnce = () => {
      try {
        const now = looking.dataVersion()
        if (seen !== undefined && now !== seen) tell()
        seen = now
      } catch {
        // It may be well again at the next look.
      }
    }
    const poll = async () => {
      for (;;) {
        lookOnce()
        await clock.sleep(pollMs, stop.signal)
      }
    }
    // It ends with the sleep that is cut short.
    poll().catch(() => {})
    return () => stop.abort('over')
  }
}

/** With more in one message the two threads would take turns, one waiting for the other: measured, a fifth fewer puts per second than with 16. */
const mostTogether = 16

/** The worker thread keeps the process alive only while somebody waits for an answer. */
function startWriter(options: JournalOptions): Writer {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const workerData: WorkerOptions = { path: options.path, directory: options.directory, writer: options.writer }
  const worker = new Worker(new URL(`./worker.${extension}`, import.meta.url), { workerData, name: 'holdfast-journal' })
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  let outbox: Request[] = []
  let lastId = 0
  let dead: HoldfastError | undefined
  worker.unref()
  worker.on('message', (answers: readonly Answer[]) => {
    for (const answer of answers) {
      const caller = waiting.get(answer.id)
      waiting.delete(answer.id)
      if (answer.ok) caller?.resolve(answer.value)
      else caller?.reject(rebuild(answer))
    }
    if (waiting.size === 0) worker.unref()
  })
  /** Those of one moment in one message: it costs more than what is in it. */
  const send = () => {
    if (outbox.length === 0) return
    const requests = outbox
    outbox = []
    try {
      worker.postMessage(requests)
    } catch (error) {
      // No memory for the copy: nothing of it has left.
      for (const { id } of requests) waiting.get(id)?.reject(error as Error)
      for (const { id } of requests) waiting.delete(id)
    }
  }
  const die = (cause: unknown) => {
    dead ??= new HoldfastError(
      'CORRUPT',
      'the thread that writes the journal ended: close this store and open it again',
      {
        field: 'journal',
        rule: 'thread',
        outcome: 'unknown',
        cause,
      },
    )
    for (const caller of waiting.values()) caller.reject(dead)
    waiting.clear()
  }
  worker.on('error', die)
  worker.on('exit', die)
  return {
    call(op, ...args) {
      if (dead !== undefined) return Promise.reject(dead)
      return new Promise((resolve, reject) => {
        const request: Request = { id: ++lastId, op, args }
        if (waiting.size === 0) worker.ref()
        waiting.set(request.id, { resolve, reject })
        if (outbox.length === 0) queueMicrotask(send)
        outbox.push(request)
        if (outbox.length === mostTogether) send()
      })
    },
    dead: () => dead,
    async end() {
      if (dead === undefined) await this.call('close').catch(() => {})
      await worker.terminate()
    },
  }
}
