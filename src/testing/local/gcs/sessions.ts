import { randomBytes } from 'node:crypto'
import { type Digester, digester } from '../../../core/digest.ts'
import type { Answer } from '../answer.ts'
import { type Body, emptyBody, joined, sliced } from '../bodies.ts'
import type { LocalRequest } from '../request.ts'
import { type Conditions, demand, queryConditions } from './conditions.ts'
import { announcedSums, compareSums, type Inserted, nameIn, readJson } from './insert.ts'
import { type Keeper, type Sums, sumsOf } from './keeper.ts'
import { invalidArgument, refuse, serviceHeaders, usual } from './refusal.ts'
import { checkName, describedBy, type Described, type ObjectFacts } from './resource.ts'
import type { Route } from './route.ts'

/** Uploads in several requests: https://cloud.google.com/storage/docs/performing-resumable-uploads */
export interface Sessions {
  start(request: LocalRequest, route: Route): Promise<Answer>
  /** What came is kept, in multiples of 256 KiB where the connection was cut. */
  chunk(request: LocalRequest, route: Route): Promise<Answer | Inserted>
  query(request: LocalRequest, route: Route): Promise<Answer | Inserted>
  cancel(route: Route): Answer
}

interface SessionFacts {
  readonly bucket: string
  readonly key: string
  readonly described: Described
  readonly announced: Partial<Sums>
  readonly conditions: Conditions
  readonly createdAt: number
  /** The object that it became: said again to whoever asks, also when that is long replaced. */
  readonly done?: { readonly facts: ObjectFacts; readonly size: number }
}

const unit = 262_144
const weekMs = 7 * 86_400_000

/** `bytes 0-5/10`, `bytes 0-5/*`, `bytes 0-*\/*`, `bytes *\/10`, `bytes *\/*`: what a request brings. Half-open, `*` undefined. */
interface Brings {
  readonly start: number | undefined
  readonly end: number | undefined
  readonly total: number | undefined
}

export function sessionsOf(keeper: Keeper): Sessions {
  const { store } = keeper
  const space = store.space<SessionFacts>('sessions')
  /** Digests of what each session has; after a restart they are made from its bytes. */
  const running = new Map<string, { size: number; digests: Digester }>()

  function find(route: Route): { id: string; facts: SessionFacts; body: Body } {
    const id = route.query.get('upload_id') ?? ''
    const entry = space.get(id)
    if (entry === undefined) refuse({ status: 404, reason: 'notFound', message: 'Not Found' })
    if (Date.now() - entry.facts.createdAt <= weekMs) return { id, ...entry }
    store.commit([space.remove(id)])
    refuse({ status: 410, reason: 'gone', message: usual[410]?.message ?? '' })
  }

  function keep(id: string, facts: SessionFacts, body: Body): void {
    store.commit([space.put(id, { facts, body })])
  }

  /** Everything is there: the object comes to be, if its conditions still hold and its bytes are those announced. */
  async function complete(
    id: string,
    facts: SessionFacts,
    body: Body,
    digests: Digester,
    header: LocalRequest['headers'][string],
  ): Promise<Inserted> {
    const sums = sumsOf(digests.finish())
    running.delete(id)
    const { bucket, key, described, announced, conditions } = facts
    try {
      compareSums({ ...announced, ...announcedSums(undefined, header) }, sums)
      const entry = keeper.put({ bucket, key, described, body, sums }, conditions)
      keep(id, { ...facts, done: { facts: entry.facts, size: body.size } }, emptyBody)
      return { bucket, key, entry }
    } catch (error) {
      store.forget(body)
      store.commit([space.remove(id)])
      throw error
    }
  }

  async function digestsFor(id: string, body: Body): Promise<Digester> {
    const known = running.get(id)
    if (known !== undefined && known.size === body.size) return known.digests
    const digests = digester()
    const opened = store.open(body, 0, body.size)
    if (opened instanceof Uint8Array) digests.update(opened)
    else {
      for await (const chunk of opened.chunks()) digests.update(chunk)
      opened.close()
    }
    return digests
  }

  return {
    async start(request, { bucket = '', query }) {
      const description = await readJson(request.body)
      const key = query.get('name') ?? nameIn(description)
      const conditions = queryConditions(query)
      checkName(key)
      demand(conditions, keeper.find(bucket, key)?.facts)
      const type = request.headers['x-upload-content-type']
      const contentType = typeof type === 'string' ? type : 'application/octet-stream'
      const facts: SessionFacts = {
        bucket,
        key,
        described: { contentType, ...describedBy(description) },
        announced: announcedSums(description, undefined),
        conditions,
        createdAt: Date.now(),
      }
      const id = randomBytes(48).toString('base64url')
      keep(id, facts, emptyBody)
      const path = `/upload/storage/v1/b/${bucket}/o?uploadType=resumable&name=${encodeURIComponent(key)}&upload_id=${id}`
      const location = `http://${request.headers.host ?? ''}${path}`
      return { status: 200, headers: { ...serviceHeaders(), 'x-guploader-uploadid': id, location } }
    },

    async chunk(request, route) {
      const { id, facts, body } = find(route)
      if (facts.done !== undefined) return completed(facts, facts.done)
      const { start = 0, end, total } = bringsOf(request.headers['content-range'])
      if (start > body.size) {
        const message =
          `Invalid request.  According to the Content-Range header, the upload offset is ${start} byte(s), which ` +
          `exceeds already uploaded size of ${body.size} byte(s).`
        refuse({ status: 503, reason: 'backendError', message })
      }
      const last = end === undefined || end === total
      if (!last && (end - start) % unit !== 0) {
        refuse(invalidArgument(`Invalid request.  The size of a chunk must be a multiple of ${unit} bytes.`))
      }
      const digests = await digestsFor(id, body)
      running.delete(id)
      const came = await take(request, body.size - start, digests)
      const size = body.size + came.body.size
      try {
        const now = space.get(id)
        if (now === undefined) refuse({ status: 404, reason: 'notFound', message: 'Not Found' })
        if (now.body.size !== body.size) return progress(now.body)
        const due = end ?? total ?? size
        if (size > due)
          refuse(invalidArgument('Invalid request.  The body is longer than the Content-Range header says.'))
        const grown = joined([body, came.body])
        const whole = came.whole && size === due
        if (whole && last) return await complete(id, facts, grown, digests, request.headers['x-goog-hash'])
        const kept = whole ? grown : sliced(grown, 0, Math.max(body.size, size - (size % unit)))
        keep(id, facts, kept)
        if (came.hashed === kept.size - body.size) running.set(id, { size: kept.size, digests })
        if (!came.whole) throw new Error('the client closed the connection within a chunk')
        if (!whole) refuse(invalidArgument('Invalid request.  The body is shorter than the Content-Range header says.'))
        return progress(kept)
      } finally {
        store.forget(came.body)
      }
    },

    async query(request, route) {
      const { id, facts, body } = find(route)
      if (facts.done !== undefined) return completed(facts, facts.done)
      const { total } = bringsOf(request.headers['content-range'])
      if (total !== body.size) return progress(body)
      return await complete(id, facts, body, await digestsFor(id, body), request.headers['x-goog-hash'])
    },

    cancel(route) {
      const { id } = find(route)
      running.delete(id)
      store.commit([space.remove(id)])
      return { status: 499, headers: serviceHeaders() }
    },
  }

  /** Reads what a request brings, without the first `skip` bytes, which are known already. Digests are of whole units, all at the end. */
  async function take(
    { body }: LocalRequest,
    skip: number,
    digests: Digester,
  ): Promise<{ body: Body; whole: boolean; hashed: number }> {
    const writer = store.writer()
    let left = skip
    let held: Uint8Array[] = []
    let heldBytes = 0
    let hashed = 0
    const digestHeld = (): void => {
      for (const chunk of held) digests.update(chunk)
      hashed += heldBytes
      held = []
      heldBytes = 0
    }
    const add = (bytes: Uint8Array): void => {
      for (let at = 0; at < bytes.byteLength; ) {
        const piece = bytes.subarray(at, at + unit - heldBytes)
        held.push(piece)
        heldBytes += piece.byteLength
        at += piece.byteLength
        if (heldBytes === unit) digestHeld()
      }
    }
    try {
      for await (const chunk of body) {
        const fresh = chunk.subarray(Math.min(left, chunk.byteLength))
        left -= chunk.byteLength - fresh.byteLength
        if (fresh.byteLength === 0) continue
        add(fresh)
        await writer.write(fresh)
      }
    } catch {
      return { body: await writer.finish(), whole: false, hashed }
    }
    digestHeld()
    return { body: await writer.finish(), whole: true, hashed }
  }
}

function completed({ bucket, key }: SessionFacts, done: NonNullable<SessionFacts['done']>): Inserted {
  return { bucket, key, entry: { facts: done.facts, body: { size: done.size, pieces: [] } } }
}

function progress(body: Body): Answer {
  const range = body.size === 0 ? {} : { range: `bytes=0-${body.size - 1}` }
  return { status: 308, headers: { ...serviceHeaders(), ...range } }
}

function bringsOf(header: string | undefined): Brings {
  if (header === undefined) return { start: 0, end: undefined, total: undefined }
  const found = /^bytes (?:(\d+)-(\d+|\*)|\*)\/(\d+|\*)$/.exec(header)
  if (found === null) refuse(invalidArgument(`Failed to parse Content-Range header.`))
  const [, start, last, total] = found
  const brings = {
    start: start === undefined ? undefined : Number(start),
    end: last === undefined || last === '*' ? undefined : Number(last) + 1,
    total: total === '*' || total === undefined ? undefined : Number(total),
  }
  const { end = Number.POSITIVE_INFINITY } = brings
  const wrong = end < (brings.start ?? 0) || (brings.end !== undefined && end > (brings.total ?? end))
  if (wrong) refuse(invalidArgument(`Invalid request.  Content-Range ${header} is no range.`))
  return brings
}
