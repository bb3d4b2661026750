import { createHash } from 'node:crypto'
import { HoldfastError } from '../../core/errors.ts'
import type { PutRequest, PutResult } from '../../core/provider.ts'
import { unlessAborted } from '../../core/abort.ts'
import { notProvider, type Purpose, protocolError } from './errors.ts'
import { writeResource } from './objects.ts'
import type { Target } from './target.ts'
import type { Answer } from './wire.ts'
import { conditionQuery, exactly, stored } from './write.ts'

/** Chunks that are not the last must be a multiple of it: https://cloud.google.com/storage/docs/performing-resumable-uploads */
export const chunkUnit = 262_144

const mostChunks = 9_000

/**
 * An upload that survives cut connections and restarts: a session at the service, filled in chunks. What is saved of it is the address
 * of the session, which lets anybody who reads it write this object until the upload ends or a week is over: a secret. The description,
 * the digests and the condition are the session's; the service checks them all when the last byte is there.
 */
export async function putResumable(
  target: Target,
  request: PutRequest,
  partSize: number,
  signal: AbortSignal,
): Promise<PutResult> {
  const chunk = chunkBytes(request.source.size, partSize)
  const print = printOf(target.bucket, request)
  let session = savedSession(request.upload.saved, print)
  for (let begun = 0; ; ) {
    const resumed = session !== undefined
    if (session === undefined) {
      session = await begin(target, request, signal)
      begun++
      await unlessAborted(request.upload.save(stateOf(session, print, 0)), signal)
    }
    try {
      return await fill(target, request, { session, print, chunk, resumed }, signal)
    } catch (error) {
      const gone = error instanceof HoldfastError && error.reason === 'UPLOAD_GONE'
      if (!gone || begun > 1) throw error
      session = undefined
    }
  }
}

interface Upload {
  readonly session: string
  readonly print: string
  readonly chunk: number
  /** Begun in an earlier call, whose last bytes may still be on their way: it is asked how far it is. */
  readonly resumed: boolean
}

async function begin(target: Target, request: PutRequest, signal: AbortSignal): Promise<string> {
  const { key, source, headers } = request
  const purpose: Purpose = { call: 'put', key, effect: 'prepares' }
  const description = Buffer.from(writeResource(request))
  const answer = await target.wire.send(
    {
      purpose,
      method: 'POST',
      target: target.upload({ uploadType: 'resumable', name: key, ...conditionQuery(request) }),
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'x-upload-content-type': headers.contentType,
        'x-upload-content-length': String(source.size),
      },
      body: {
        length: description.byteLength,
        async *open() {
          yield description
        },
      },
    },
    signal,
  )
  if (answer.status !== 200 && answer.status !== 201) throw await target.wire.refused(answer, purpose)
  const session = sessionPath(answer.header('location'))
  await target.wire.text(answer, purpose)
  if (session === undefined) throw notProvider(target.errors, purpose, 'was answered 200 without an upload session')
  return session
}

/** Only path and query are taken: whatever host an answer names, credentials and bytes go to the endpoint of the configuration. */
function sessionPath(location: string | undefined): string | undefined {
  const url = location === undefined ? null : URL.parse(location, 'http://session')
  return url === null || !url.searchParams.has('upload_id') ? undefined : url.pathname + url.search
}

async function fill(target: Target, request: PutRequest, upload: Upload, signal: AbortSignal): Promise<PutResult> {
  const { key, source } = request
  const { session, print, chunk, resumed } = upload
  let at = resumed ? undefined : 0
  for (let stuck = 0; ; ) {
    const end = at === undefined ? undefined : Math.min(source.size, at + chunk)
    const last = end === undefined || end === source.size
    const purpose: Purpose = { call: 'put', key, effect: last || resumed ? 'writes' : 'prepares', session: true }
    const answer =
      at === undefined || end === undefined
        ? await ask(target, purpose, session, source.size, signal)
        : await sendChunk(target, purpose, request, session, { start: at, end }, signal)
    if (answer.status === 200 || answer.status === 201) return await stored(target, purpose, request, answer)
    const reached = await progressOf(target, purpose, answer, end ?? source.size)
    if (at !== undefined && reached <= at && ++stuck > 2) {
      throw protocolError(target.errors, purpose, `made no progress at byte ${at}, three times`)
    }
    if (at !== undefined && reached > at) stuck = 0
    at = reached
    await unlessAborted(request.upload.save(stateOf(session, print, at)), signal)
  }
}

async function ask(
  target: Target,
  purpose: Purpose,
  session: string,
  size: number,
  signal: AbortSignal,
): Promise<Answer> {
  return await target.wire.send(
    { purpose, method: 'PUT', target: session, headers: { 'content-range': `bytes */${size}` } },
    signal,
  )
}

async function sendChunk(
  target: Target,
  purpose: Purpose,
  { key, source }: PutRequest,
  session: string,
  { start, end }: { start: number; end: number },
  signal: AbortSignal,
): Promise<Answer> {
  return await target.wire.send(
    {
      purpose,
      method: 'PUT',
      target: session,
      headers: {
        'content-range': start === end ? `bytes */${source.size}` : `bytes ${start}-${end - 1}/${source.size}`,
      },
      body: { length: end - start, open: () => exactly(source, start, end, key, target.errors) },
    },
    signal,
  )
}

/** Bytes that the session has: its word counts, not what was sent. No `Range` means none. */
async function progressOf(target: Target, purpose: Purpose, answer: Answer, most: number): Promise<number> {
  const { wire, errors } = target
  if (answer.status !== 308 || answer.header('location') !== undefined) throw await wire.refused(answer, purpose)
  const range = answer.header('range')
  await wire.text(answer, purpose)
  const found = /^bytes=0-(\d{1,15})$/.exec(range ?? 'bytes=0-')
  if (range === undefined) return 0
  const reached = found === null ? Number.NaN : Number(found[1]) + 1
  if (!(reached <= most)) throw protocolError(errors, purpose, 'was answered a range that was never sent')
  return reached
}

/** Ends a session early. The service answers 499 to that. */
export async function dropSession(target: Target, key: string, saved: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const session = readState(saved)?.session
  if (session === undefined) return
  const purpose: Purpose = { call: 'abandon', key, effect: 'none', session: true }
  const answer = await target.wire.send({ purpose, method: 'DELETE', target: session }, signal)
  if (answer.status >= 200 && answer.status < 300) {
    answer.close()
    return
  }
  const refusal = await target.wire.refused(answer, purpose)
  if (refusal.reason !== 'UPLOAD_GONE') throw refusal
}

/** Grows with the object, so that a body of 5 TiB does not take a million requests. */
function chunkBytes(size: number, partSize: number): number {
  return Math.max(partSize, Math.ceil(size / mostChunks / chunkUnit) * chunkUnit)
}

function stateOf(session: string, print: string, at: number): string {
  return JSON.stringify({ gcs: 1, session, print, at })
}

/** A session fits only the very same write: the same bytes, description and condition. */
function savedSession(saved: string | undefined, print: string): string | undefined {
  const state = readState(saved)
  return state?.print === print ? state.session : undefined
}

function readState(saved: string | undefined): { session: string; print: string } | undefined {
  try {
    const { gcs, session, print } = JSON.parse(saved ?? 'null') ?? {}
    const good = gcs === 1 && typeof session === 'string' && session.startsWith('/') && typeof print === 'string'
    return good ? { session, print } : undefined
  } catch {
    return undefined
  }
}

function printOf(bucket: string, request: PutRequest): string {
  const what = [bucket, request.key, request.source.size, writeResource(request), conditionQuery(request)]
  return createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 32)
}
