import { createHash } from 'node:crypto'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import type { PutOptions } from '../../src/holdfast/input/put.ts'
import type { ListEntry } from '../../src/read/types.ts'
import { sleepFailed } from './trap.ts'

/** What is under a key, in words: `absent`, or the MD5 of the bytes with their type and metadata. */
export type Content = string
export const absent: Content = 'absent'

export function contentOf(
  bytes: Uint8Array,
  contentType = 'application/octet-stream',
  metadata: Readonly<Record<string, string>> = {},
): Content {
  const sorted = Object.entries(metadata).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `${bytes.byteLength} bytes ${createHash('md5').update(bytes).digest('hex')} ${contentType} ${JSON.stringify(sorted)}`
}

/** What became of a write, as its caller was told. */
type Told = 'acked' | 'rejected' | 'unknown'

interface OpenUpload {
  readonly key: string
  /** Every part that was acknowledged, by number; where a later one of the number is in doubt, none. */
  readonly parts: Map<number, Uint8Array>
  /** Somebody was told, or may have been, that it is over. */
  isOver: boolean
}

/**
 * An app that remembers what it was told, and whether that was true. Calls for one key come one after the other. It never throws: what must not have happened is in
 * `faults`.
 */
export class App {
  readonly faults: string[] = []
  /** Everything that may be under a key, by what was said of its writes. One entry: it is known. */
  readonly may = new Map<string, readonly Content[]>()
  readonly uploads = new Map<string, OpenUpload>()
  /** What was said, for the story. */
  readonly told: string[] = []
  signal: AbortSignal | undefined
  private current: Holdfast | undefined

  get store(): Holdfast {
    if (this.current === undefined) throw new Error('the app has no store now')
    return this.current
  }

  set store(store: Holdfast | undefined) {
    this.current = store
  }

  private get terms(): { readonly signal?: AbortSignal } {
    return this.signal === undefined ? {} : { signal: this.signal }
  }

  mayBe(key: string): readonly Content[] {
    return this.may.get(key) ?? [absent]
  }

  /** Answers the version, where it was acknowledged. */
  async put(
    key: string,
    bytes: Uint8Array,
    options: PutOptions & { readonly streamed?: true } = {},
  ): Promise<string | undefined> {
    const { streamed, ...rest } = options
    const content = contentOf(bytes, rest.contentType, rest.metadata)
    const body = streamed === true ? pieces(bytes) : bytes
    return this.write(
      `put ${key}`,
      key,
      content,
      async () => (await this.store.put(key, body, { ...rest, ...this.terms })).version,
    )
  }

  async delete(key: string): Promise<string | undefined> {
    return this.write(`delete ${key}`, key, absent, async () => (await this.store.delete(key, this.terms)).version)
  }

  /** Of a source that is known. */
  async copy(from: string, to: string): Promise<string | undefined> {
    const [content = absent] = this.mayBe(from)
    return this.write(
      `copy ${from} ${to}`,
      to,
      content,
      async () => (await this.store.copy(from, to, this.terms)).version,
    )
  }

  async begin(key: string): Promise<string | undefined> {
    return this.call(`begin ${key}`, async () => {
      const { id } = await this.store.uploads.create(key, this.terms)
      this.uploads.set(id, { key, parts: new Map(), isOver: false })
      return id
    })
  }

  async part(id: string, number: number, bytes: Uint8Array): Promise<void> {
    const parts = this.uploads.get(id)?.parts
    const before = parts?.get(number)
    parts?.delete(number)
    const etag = await this.call(
      `part ${number}`,
      async () => (await this.store.uploads.putPart(id, number, bytes, this.terms)).etag,
    )
    const kept = etag === undefined ? (this.last === 'rejected' ? before : undefined) : bytes
    if (kept !== undefined) parts?.set(number, kept)
  }

  /** Of these parts, as they were acknowledged; not at all where one is in doubt. */
  async complete(id: string, numbers: readonly number[]): Promise<void> {
    const upload = this.uploads.get(id)
    const bodies = numbers.flatMap(number => upload?.parts.get(number) ?? [])
    if (upload === undefined || bodies.length < numbers.length) return
    const parts = numbers.map(number => ({ number }))
    const complete = async () => (await this.store.uploads.complete(id, parts, this.terms)).version
    await this.write(`complete ${upload.key}`, upload.key, contentOf(Buffer.concat(bodies)), complete)
    if (this.last !== 'rejected') upload.isOver = true
  }

  async abort(id: string): Promise<void> {
    await this.call('abort', async () => this.store.uploads.abort(id, this.terms))
    const upload = this.uploads.get(id)
    if (upload !== undefined && this.last !== 'rejected') upload.isOver = true
  }

  /** The whole object is what it may be, or an error says that nobody can tell. */
  async get(key: string): Promise<void> {
    await this.read(`get ${key}`, async () => {
      const found = await this.store.get(key, this.terms)
      if (found === undefined) return this.demand(key, absent, 'get')
      const { contentType, metadata } = found.info
      this.demand(key, contentOf(await found.bytes(), contentType, metadata), 'get')
    })
  }

  async head(key: string): Promise<void> {
    await this.read(`head ${key}`, async () => {
      const found = await this.store.head(key, this.terms)
      const fits = this.mayBe(key).some(content =>
        found === undefined ? content === absent : content.startsWith(`${found.size} bytes`),
      )
      if (!fits) this.faults.push(`head of ${key} says ${found?.size}, it may be ${this.mayBe(key).join(' or ')}`)
    })
  }

  /** Everything that was there all the time is listed, and nothing that was not. */
  async list(): Promise<void> {
    await this.read('list', async () => {
      const before = new Map(this.may)
      const keys = new Set<string>()
      for await (const entry of this.store.list(this.terms)) keys.add(nameOf(entry))
      for (const [key, now] of this.may) {
        const may = [...(before.get(key) ?? [absent]), ...now]
        if (!may.includes(absent) && !keys.has(key)) this.faults.push(`the listing lacks ${key}`)
        if (may.every(content => content === absent) && keys.has(key))
          this.faults.push(`the listing has ${key}, which is absent`)
      }
    })
  }

  async deleteMany(prefix: string): Promise<void> {
    const keys = [...this.may.keys()].filter(key => key.startsWith(prefix))
    await this.call(`deleteMany ${prefix}`, async () => void (await this.store.deleteMany({ prefix, ...this.terms })))
    const isOver = this.last === 'acked'
    // At the first failure some are deleted, and some are not.
    for (const key of keys) this.may.set(key, isOver ? [absent] : [...new Set([...this.mayBe(key), absent])])
  }

  /** Any other call: it resolves, or says why not. */
  async does(what: string, call: () => Promise<unknown>): Promise<void> {
    await this.read(what, call)
  }

  demand(key: string, found: Content, where: string): void {
    const may = this.mayBe(key)
    if (!may.includes(found)) this.faults.push(`${where}: ${key} is ${found}, it may be ${may.join(' or ')}`)
  }

  /** What the last call was told. */
  private last: Told = 'acked'

  private async write(
    what: string,
    key: string,
    content: Content,
    call: () => Promise<string>,
  ): Promise<string | undefined> {
    const before = this.mayBe(key)
    // Until it is known, either may be seen.
    this.may.set(key, [...new Set([...before, content])])
    const version = await this.call(what, call, true)
    if (this.last === 'acked') this.may.set(key, [content])
    if (this.last === 'rejected') this.may.set(key, before)
    return version
  }

  /** Errors are ours, with a code, and of a write with what became of it; or the caller's own reason, and then nothing happened (I47). */
  private async call<T>(what: string, call: () => Promise<T>, isWrite = false): Promise<T | undefined> {
    try {
      const answer = await call()
      this.last = 'acked'
      this.told.push(`${what}: done`)
      return answer
    } catch (error) {
      this.last = this.judge(what, error, isWrite)
      this.told.push(`${what}: ${this.last}: ${String(error)}`)
      return undefined
    }
  }

  private async read(what: string, call: () => Promise<unknown>): Promise<void> {
    await this.call(what, call)
  }

  private judge(what: string, error: unknown, isWrite: boolean): Told {
    if (this.signal?.aborted === true && error === this.signal.reason) return 'rejected'
    if (error === sleepFailed && !isWrite) return 'unknown'
    if (!(error instanceof HoldfastError)) {
      this.faults.push(`${what} rejected with ${error instanceof Error ? error.stack : String(error)} (I47)`)
      return 'unknown'
    }
    if (isWrite && error.outcome === undefined) {
      // Of a copy: that its source could not be read. Nothing was written.
      if (!what.startsWith('copy')) this.faults.push(`${what} rejected without an outcome: ${error.stack} (I47)`)
      return 'rejected'
    }
    return error.outcome === 'accepted' ? 'acked' : (error.outcome ?? 'unknown')
  }
}

function nameOf(entry: ListEntry): string {
  return entry.type === 'object' ? entry.key : entry.prefix
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += 20_000) yield bytes.slice(at, at + 20_000)
}
