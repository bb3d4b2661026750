/** What a child tells its parent: before it begins something, and after the promise resolved. */
export type Told =
  | { readonly type: 'phase'; readonly name: string }
  /** `content` `undefined`: a delete. */
  | { readonly type: 'begin'; readonly key: string; readonly content?: Content | undefined }
  | { readonly type: 'end'; readonly key: string; readonly outcome: Outcome; readonly code?: string | undefined }
  | { readonly type: 'upload'; readonly id: string; readonly key: string; readonly content: Content }
  | { readonly type: 'part'; readonly id: string; readonly number: number; readonly etag: string }
  /** About to be completed or aborted: from here on it may be gone. */
  | { readonly type: 'ending'; readonly id: string }
  | { readonly type: 'ended'; readonly id: string }
  /** That a store did not open, or did not do what nobody is promised. */
  | { readonly type: 'failed'; readonly code: string; readonly rule: string | undefined; readonly message: string }

export type Outcome = 'acknowledged' | 'rejected' | 'unknown'

/** A body that can be made again: see `bodyFor`. */
export interface Content {
  readonly seed: string
  readonly size: number
}

/** What may be under a key: what was acknowledged last, or what was begun since and not refused. */
export interface Expected {
  readonly acknowledged: Content | undefined
  readonly maybe: readonly (Content | undefined)[]
}

export interface ExpectedUpload {
  readonly key: string
  readonly content: Content
  readonly parts: ReadonlyMap<number, string>
  readonly state: 'open' | 'ending' | 'ended'
}

export interface Snapshot {
  readonly keys: ReadonlyMap<string, Expected>
  readonly uploads: ReadonlyMap<string, ExpectedUpload>
}

/** The parent's own knowledge of what was promised. One writer a key at a time. */
export interface Ledger {
  readonly told: (told: Told) => void
  /** What a power cut at this moment has to leave. */
  snapshot(): Snapshot
  readonly acknowledged: number
}

/** Goes on from what was promised before. */
export function newLedger(before?: Snapshot): Ledger {
  const keys = new Map(before?.keys)
  const uploads = new Map(before?.uploads)
  let acknowledged = 0

  function end(key: string, outcome: Outcome): void {
    const { acknowledged: before, maybe } = keys.get(key) ?? nothing
    const content = maybe.at(-1)
    if (outcome === 'acknowledged') {
      acknowledged++
      keys.set(key, { acknowledged: content, maybe: [] })
    }
    if (outcome === 'rejected') keys.set(key, { acknowledged: before, maybe: maybe.slice(0, -1) })
  }

  function change(id: string, more: Partial<ExpectedUpload>): void {
    const known = uploads.get(id)
    if (known !== undefined) uploads.set(id, { ...known, ...more })
  }

  return {
    told(told) {
      switch (told.type) {
        case 'begin': {
          const known = keys.get(told.key) ?? nothing
          keys.set(told.key, { ...known, maybe: [...known.maybe, told.content] })
          return
        }
        case 'end':
          return end(told.key, told.outcome)
        case 'upload':
          uploads.set(told.id, { key: told.key, content: told.content, parts: new Map(), state: 'open' })
          return
        case 'part': {
          const parts = new Map(uploads.get(told.id)?.parts).set(told.number, told.etag)
          return change(told.id, { parts })
        }
        case 'ending':
        case 'ended':
          return change(told.id, { state: told.type })
        case 'phase':
        case 'failed':
      }
    },
    snapshot: () => ({ keys: new Map(keys), uploads: new Map(uploads) }),
    get acknowledged() {
      return acknowledged
    },
  }
}

const nothing: Expected = { acknowledged: undefined, maybe: [] }
