import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Database } from 'better-sqlite3'
import { HoldfastError } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import type { Journal, Lease, NewWrite, WriteRow } from './contract.ts'
import type { IncomingWrite } from './ledger.ts'
import { look } from './look.ts'
import { lookSettled } from './look-settled.ts'
import type { Answer, Book, Opened, Request, WorkerOptions } from './protocol.ts'
import { rebuild } from './protocol.ts'
import { writeAttributes } from './rows.ts'
import { asJournalError, openForReading } from './schema.ts'
import { settleCalls } from './settle-calls.ts'
import type { IncomingPart, IncomingUpload } from './uploads.ts'

/** How often changes of other processes are looked for, while somebody listens. */
const pollMs = 100

export interface JournalOptions {
  /** Absolute path of the directory, laid out by the stage, and the uuid in its holdfast.json. */
  readonly path: string
  readonly directory: string
  /** Sixteen hex digits, new at each open. */
  readonly writer: string
  readonly clock: Clock
}

export interface OpenedJournal {
  readonly journal: Journal
  /**
   * Set when a write to this directory failed in an earlier life. This process then has it alone; every body named by `bodies` is to be
   * checked before `done` lets anything be accepted again.
   */
  readonly verification: { bodies(): Iterable<WriteRow>; done(): Promise<void> } | undefined
}

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
    const journal = connect(options, writer, looking, database)
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

function connect(
  options: JournalOptions,
  writer: Writer,
  looking: ReturnType<typeof look>,
  database: Database,
): Journal {
  const { clock } = options
  const changes = watch(looking, clock)
  let closed = false
  const change = async (op: keyof Book, ...args: readonly unknown[]): Promise<unknown> => {
    if (closed) throw new HoldfastError('CLOSED', 'the store is closed', { outcome: 'rejected' })
    const value = await writer.call(op, ...args)
    changes.tell()
    return value
  }
  const tell = async (op: keyof Book, ...args: readonly unknown[]): Promise<void> => {
    await change(op, ...args)
  }

  const leaseOf = (token: number): Lease => ({
    token,
    due: looking.due,
    looks: looking.looks,
    nextAt: looking.nextAt,
    heldBytes: origin => {
      let bytes = 0
      for (const group of looking.counts().groups)
        if (
          group.state === 'open' &&
          group.origin === (origin ?? group.origin) &&
          group.waiting === 0 &&
          group.blocked === 0 &&
          group.stored !== 0
        )
          bytes += group.bytes
      return bytes
    },
    hasten: (storedBefore, origin) => tell('hasten', token, storedBefore, origin),
    sending: (seq, provider) => change('sending', token, seq, provider) as Promise<boolean>,
    stored: (seq, provider, evidence) => tell('stored', token, seq, provider, evidence),
    verified: (seq, provider) => tell('verified', token, seq, provider),
    again: (seq, provider, message) => tell('again', token, seq, provider, message),
    postpone: (seq, provider, until) => tell('postpone', token, seq, provider, until),
    block: (seq, provider, reason, message) => tell('block', token, seq, provider, reason, message),
    hurry: provider => tell('hurry', token, provider),
    unblock: (provider, reasons) => change('unblock', token, provider, reasons) as Promise<number>,
    overtaken: (seq, by, provider) => tell('overtaken', token, seq, by, provider, clock.now()),
    saveUpload: (seq, provider, upload) => tell('saveUpload', token, seq, provider, upload),
    decide: (seq, decision) => tell('decide', token, seq, decision, clock.now()),
    releasable: looking.releasable,
    superseded: looking.superseded,
    release: writes => tell('release', token, writes, clock.now()),
    trash: looking.trash,
    emptied: files => tell('emptied', token, files),
    dropUploads: idleSince => change('dropUploads', token, idleSince) as Promise<string[]>,
    collect: files => change('collect', token, files) as Promise<string[]>,
    trim: limits => change('trim', token, limits) as Promise<string[]>,
    learnt: (provider, what) => tell('learnt', token, provider, what),
    health: (provider, health) => tell('health', token, provider, health),
    end: async () => {
      if (!closed) await writer.call('endLease')
    },
  })

  const incoming = ({ attributes, layout, features, ...rest }: NewWrite): IncomingWrite => ({
    ...rest,
    attributes: writeAttributes(attributes, { layout, features }),
    now: clock.now(),
  })

  return {
    directory: options.directory,
    accept: write => change('accept', incoming(write)) as ReturnType<Journal['accept']>,
    withdraw: seq => change('withdraw', seq) as Promise<boolean>,
    view: looking.view,
    openKeys: looking.openKeys,
    write: looking.write,
    counts: looking.counts,
    blocked: looking.blocked,
    failed: () => writer.dead(),
    providers: looking.providers,
    onChange: changes.listen,
    beginUpload: ({ id, key, attributes, features, checksum, createdAt }) => {
      const upload: IncomingUpload = {
        id,
        key,
        attributes: writeAttributes(attributes, { features }),
        checksum: checksum === undefined ? null : JSON.stringify(checksum),
        createdAt,
      }
      return tell('beginUpload', upload)
    },
    addPart: ({ checksum, ...rest }) => {
      const part: IncomingPart = { ...rest, checksum: checksum === undefined ? null : JSON.stringify(checksum) }
      return tell('addPart', part)
    },
    upload: looking.upload,
    uploadedParts: looking.uploadedParts,
    uploads: looking.uploads,
    completeUpload: (id, write) => change('completeUpload', id, incoming(write)) as ReturnType<Journal['accept']>,
    dropUpload: id => change('dropUpload', id) as Promise<boolean>,
    register: providers => change('register', providers) as ReturnType<Journal['register']>,
    async lease() {
      const token = (await writer.call('lease')) as number | undefined
      return token === undefined ? undefined : leaseOf(token)
    },
    observe: version => tell('observe', version),
    touch: key => tell('touch', key, clock.now()),
    ...settleCalls({ change, tell, looking: lookSettled(database), now: clock.now }),
    async close() {
      if (closed) return
      closed = true
      changes.stop()
      database.close()
      await writer.end()
    },
  }
}

/** Tells listeners of changes: of this process at once, of others by looking at SQLite's own change counter. */
function watch(looking: ReturnType<typeof look>, clock: Clock) {
  const listeners = new Set<() => void>()
  let stopped = false
  let polling = false
  let told = false
  const tell = () => {
    // Many changes share a commit: listeners hear of them once.
    if (told) return
    told = true
    queueMicrotask(() => {
      told = false
      for (const listener of listeners) listener()
    })
  }
  const poll = async () => {
    if (polling) return
    polling = true
    let seen = looking.dataVersion()
    while (!stopped && listeners.size > 0) {
      await clock.sleep(pollMs)
      if (stopped) break
      const now = looking.dataVersion()
      if (now !== seen) tell()
      seen = now
    }
    polling = false
  }
  return {
    tell,
    stop() {
      stopped = true
      listeners.clear()
    },
    listen(listener: () => void): () => void {
      listeners.add(listener)
      // A failed look ends the polling only: whoever waits asks again on its own.
      poll().catch(() => {
        polling = false
      })
      return () => listeners.delete(listener)
    },
  }
}

interface Writer {
  call(op: string, ...args: readonly unknown[]): Promise<unknown>
  /** Why it ended, if it did. */
  dead(): HoldfastError | undefined
  end(): Promise<void>
}

/** The worker thread keeps the process alive only while somebody waits for an answer. */
function startWriter(options: JournalOptions): Writer {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const workerData: WorkerOptions = { path: options.path, directory: options.directory, writer: options.writer }
  const worker = new Worker(new URL(`./worker.${extension}`, import.meta.url), { workerData, name: 'holdfast-journal' })
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
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
        waiting.set(request.id, { resolve, reject })
        worker.ref()
        worker.postMessage(request)
      })
    },
    dead: () => dead,
    async end() {
      if (dead === undefined) await this.call('close').catch(() => {})
      await worker.terminate()
    },
  }
}
