import { HoldfastError } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import type { Journal, Lease, NewWrite } from './contract.ts'
import type { Looking } from './engine.ts'
import type { IncomingWrite } from './accept.ts'
import type { Book } from './protocol.ts'
import { writeAttributes } from './rows.ts'
import { settleCalls } from './settle-calls.ts'
import type { IncomingPart, IncomingUpload } from './uploads.ts'

/** Makes the changes of a `Book`, those of one moment in one commit; and does what is no change of rows: `lease`, `endLease`, `close`. */
export interface Writer {
  call(op: string, ...args: readonly unknown[]): Promise<unknown>
  /** Why it ended, if it did. */
  dead(): HoldfastError | undefined
  end(): Promise<void>
}

/** What a journal is made of. */
export interface Connection {
  /** The uuid in the directory's holdfast.json. */
  readonly directory: string
  readonly clock: Clock
  readonly writer: Writer
  readonly looking: Looking
  /** Calls `tell` when another process may have changed something, until the answer is called. Does not keep the process alive. */
  others(tell: () => void): () => void
}

/** The journal's contract, over the changes that `writer` makes and what `looking` sees. */
export function connect({ directory, clock, writer, looking, others }: Connection): Journal {
  const changes = watch(others)
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
    heldBytes: looking.heldBytes,
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
    restore: (seq, body) => change('restore', token, seq, body) as Promise<boolean>,
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
    directory,
    accept: write => change('accept', incoming(write)) as ReturnType<Journal['accept']>,
    withdraw: seq => change('withdraw', seq) as Promise<boolean>,
    view: looking.view,
    openKeys: looking.openKeys,
    write: looking.write,
    counts: looking.counts,
    stagedBytes: looking.stagedBytes,
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
    ...settleCalls({ change, tell, looking, now: clock.now }),
    async close() {
      if (closed) return
      closed = true
      changes.stop()
      looking.close()
      await writer.end()
    },
  }
}

/** Tells listeners of changes: of this process at once, of others when `others` says so. */
function watch(others: Connection['others']) {
  const listeners = new Set<() => void>()
  let leave: (() => void) | undefined
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
  const leaveIfAlone = () => {
    if (listeners.size > 0) return
    leave?.()
    leave = undefined
  }
  return {
    tell,
    stop() {
      listeners.clear()
      leaveIfAlone()
    },
    listen(listener: () => void): () => void {
      listeners.add(listener)
      leave ??= others(tell)
      return () => {
        listeners.delete(listener)
        leaveIfAlone()
      }
    },
  }
}
