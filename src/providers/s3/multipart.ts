import { unlessAborted, untilAborted } from '../../core/abort.ts'
import { crc32c, digester, hex32, hexToBase64 } from '../../core/digest.ts'
import { HoldfastError } from '../../core/errors.ts'
import { etagOfParts, layoutOf, type PartRun, pieces } from '../../core/layout.ts'
import type { PutRequest, PutResult, RemoteObject } from '../../core/provider.ts'
import { httpDate } from '../transport.ts'
import { endOf, opened, send } from './body.ts'
import { type Answer, ask, call, type Target } from './call.ts'
import { notProvider, type Purpose, type Verdict } from './classify.ts'
import { putCondition } from './condition.ts'
import { crc32cHex, etagOf, hasPlainEtag } from './object.ts'
import { asksForKms, headersOf } from './features.ts'
import { fingerprint, type Plan, readUpload, type Upload, writeUpload } from './plan.ts'
import { attributes, spokeOfEtag } from './put.ts'

/** Parts on their way at the same time. Each is streamed, so that memory does not grow with their size. */
const partsAtOnce = 2

type Head = (key: string, signal: AbortSignal) => Promise<RemoteObject | undefined>

/** A part that is to be there: where its bytes are, and their digests. */
interface Part {
  readonly number: number
  readonly start: number
  readonly end: number
  readonly crc32c: string
  readonly md5: string
}

/**
 * Puts a large body in parts, and goes on with what an earlier call has left, also in another process. Each part is read twice: for its
 * digests, which go before it, and to be sent. An upload that the service has forgotten is begun again, once.
 */
export async function putParts(
  target: Target,
  head: Head,
  request: PutRequest,
  plan: Exclude<Plan, { in: 'one' }>,
  signal: AbortSignal,
): Promise<PutResult> {
  const { key, upload: memo } = request
  // Before anything is sent: whether the condition can be held at all.
  putCondition(request.condition, key, target.dialect(), target.errors)
  const left = readUpload(memo.saved)
  const of = fingerprint(request, plan)
  const runsOf = ({ partSize }: Upload): readonly PartRun[] =>
    plan.in === 'given parts' ? plan.runs : layoutOf('', request.source.size, partSize).parts
  if (left !== undefined && left.of === of) {
    const result = await goOn(target, head, request, left, runsOf(left), signal)
    if (result !== undefined) return result
  } else if (left !== undefined) {
    await tryAbandon(target, key, left.id, signal)
  }
  // Not 0, that of a single empty part: as such it would not be read again.
  const partSize = plan.in === 'parts' ? plan.partSize : Math.max(1, plan.runs[0]?.bytes ?? request.source.size)
  const begun = await begin(target, request, partSize, of, signal)
  const result = await goOn(target, head, request, begun, runsOf(begun), signal)
  if (result !== undefined) return result
  const what = 'the service has forgotten an upload that was just begun'
  throw target.errors.because('UNAVAILABLE', 'UPLOAD_GONE', what, { key, outcome: 'unknown' })
}

/** Drops an upload and its parts. No error when it is gone, or when the text is of no upload. */
export async function abandonUpload(target: Target, key: string, saved: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const upload = readUpload(saved)
  if (upload === undefined) return
  const { sdk, bucket } = target
  const command = new sdk.AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: upload.id })
  const asking = { ...purposeOf('abandon', key), speaks: ({ status }: { status: number }) => status === 204 }
  const { refused } = await ask(target, command, asking, signal)
  if (refused !== undefined && refused.code !== 'NoSuchUpload') throw refused.error
}

const purposeOf = (what: string, key: string): Purpose => ({ call: what, key, writes: true })

async function begin(
  target: Target,
  request: PutRequest,
  partSize: number,
  of: string,
  signal: AbortSignal,
): Promise<Upload> {
  const { sdk, bucket, errors } = target
  const { key, upload: memo } = request
  const dialect = target.dialect()
  const hasCrc32c = dialect.quirks['parts-crc32c'] === 'checked'
  const command = new sdk.CreateMultipartUploadCommand({ Bucket: bucket, Key: key, ...attributes(request, dialect) })
  const checksum: Record<string, string> = hasCrc32c
    ? { 'x-amz-checksum-algorithm': 'CRC32C', 'x-amz-checksum-type': 'FULL_OBJECT' }
    : {}
  const headers = { ...headersOf(request.features), ...checksum }
  const purpose = purposeOf('begin of an upload', key)
  const speaks = (_answer: unknown, body: string): boolean => /<InitiateMultipartUploadResult[\s>]/.test(body)
  const { output } = await call(target, command, { ...purpose, speaks, headers }, signal)
  const { UploadId: id } = output
  if (id === undefined || id === '') throw notProvider(errors, purpose, 'was answered without an upload id')
  const upload: Upload = { id, partSize, of, hasCrc32c, etags: [] }
  try {
    await unlessAborted(memo.save(writeUpload(upload)), signal)
  } catch (error) {
    await tryAbandon(target, key, id, signal)
    throw error
  }
  return upload
}

/** `undefined`: the service knows nothing of this upload any more. */
async function goOn(
  target: Target,
  head: Head,
  request: PutRequest,
  upload: Upload,
  runs: readonly PartRun[],
  signal: AbortSignal,
): Promise<PutResult | undefined> {
  const { key, source, condition } = request
  const sent = await sendParts(target, request, upload, runs, signal)
  if (sent === undefined) return undefined
  if (condition !== undefined && !isHeldAtEnd(target)) {
    // Not atomic: another write may come between this look and the end. "parts-condition" says so to whoever cares.
    const found = await head(key, signal)
    if (found?.token !== ('absent' in condition ? undefined : condition.token)) {
      await tryAbandon(target, key, upload.id, signal)
      throw target.errors.condition(key)
    }
  }
  const answer = await complete(target, request, upload, sent, signal)
  if (answer.refused === undefined) return await completed(target, head, request, answer, sent, signal)
  const { code, status, error } = answer.refused
  if (code === 'NoSuchUpload') {
    // Forgotten, or completed by an earlier call whose answer was lost.
    const found = await head(key, signal)
    const isOurs = found !== undefined && found.etag === sent.etag && found.size === source.size && isOf(found, request)
    return isOurs ? { ...partsResult(target, sent, sent.etag), serverTime: found.serverTime } : undefined
  }
  if (code === 'InvalidPart' || code === 'InvalidPartOrder') {
    await tryAbandon(target, key, upload.id, signal)
    return undefined
  }
  const isGone = condition !== undefined && status === 404 && code === 'NoSuchKey'
  if (error.code === 'PRECONDITION' || isGone) await tryAbandon(target, key, upload.id, signal)
  throw isGone ? target.errors.condition(key, error.cause) : error
}

/** Whether the service holds conditions when an upload is completed, as it does when an object is put. */
function isHeldAtEnd(target: Target): boolean {
  return target.dialect().quirks['parts-condition'] === 'atomic'
}

/** All parts are there. */
interface Sent {
  readonly etags: readonly string[]
  /** Of the object that they make: the MD5 of their MD5s, and their number. */
  readonly etag: string
  /** Whether the parts' ETags are the MD5s of their bytes: then the object's ETag is to be the one above. */
  readonly areDigests: boolean
}

/**
 * Sends what is missing, and remembers each part that arrived. The whole body is read for its digests, what is there already too: a
 * body that is not the one announced is found before it becomes an object.
 */
async function sendParts(
  target: Target,
  request: PutRequest,
  upload: Upload,
  runs: readonly PartRun[],
  signal: AbortSignal,
): Promise<Sent | undefined> {
  const { key, source, upload: memo } = request
  const stop = new AbortController()
  const linked = AbortSignal.any([signal, stop.signal])
  const etags: (string | null)[] = [...upload.etags]
  const md5s: string[] = []
  const kms = asksForKms(request.features)
  const running = new Set<Promise<void>>()
  let isGone = false
  let saving = Promise.resolve()
  let wholeCrc = 0

  const remember = async (part: Part, etag: string): Promise<void> => {
    while (etags.length < part.number) etags.push(null)
    etags[part.number - 1] = etag
    saving = saving.then(() => memo.save(writeUpload({ ...upload, etags })))
    await unlessAborted(saving, linked)
  }
  const run = async (part: Part): Promise<void> => {
    try {
      const answer = await sendPart(target, request, upload, part, linked)
      if (answer !== undefined) await remember(part, answer)
      else isGone = true
      if (isGone) stop.abort()
    } catch (error) {
      stop.abort(error)
      throw error
    }
  }

  try {
    for (const { start, end } of pieces(runs)) {
      if (isGone) break
      const digests = digester()
      for await (const chunk of untilAborted(opened(source, start, end, key, target.errors), linked)) {
        digests.update(chunk)
        wholeCrc = crc32c(chunk, wholeCrc)
      }
      const part: Part = { number: md5s.length + 1, start, end, ...digests.finish() }
      md5s.push(part.md5)
      const there = etags[part.number - 1]
      if (typeof there === 'string' && (kms || !isOther(there, part.md5))) continue
      const sending = run(part)
      running.add(sending)
      sending.then(
        () => running.delete(sending),
        () => {},
      )
      if (running.size >= partsAtOnce) await Promise.race(running)
    }
    await Promise.all(running)
  } catch (error) {
    stop.abort(error)
    await Promise.allSettled(running)
    signal.throwIfAborted()
    if (!isGone) throw error
  }
  if (isGone) return undefined
  if (hex32(wholeCrc) !== source.crc32c) {
    await tryAbandon(target, key, upload.id, signal)
    throw target.errors.digest(key, `CRC32C ${hex32(wholeCrc)}, announced ${source.crc32c}`)
  }
  const all = etags.slice(0, md5s.length).map(etag => etag ?? '')
  return { etags: all, etag: etagOfParts(md5s), areDigests: all.every((etag, index) => etag === md5s[index]) }
}

/** A remembered ETag that is an MD5, of other bytes. */
function isOther(etag: string, md5: string): boolean {
  return /^[0-9a-f]{32}$/.test(etag) && etag !== md5
}

/** The part's ETag; `undefined` where the service does not know the upload. */
async function sendPart(
  target: Target,
  { key, source, features }: PutRequest,
  upload: Upload,
  part: Part,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { sdk, bucket, errors } = target
  const sending = await unlessAborted(send({ source, ...part, key }, errors), signal)
  try {
    const command = new sdk.UploadPartCommand({
      Bucket: bucket,
      Key: key,
      UploadId: upload.id,
      PartNumber: part.number,
      Body: sending.body,
      ContentLength: part.end - part.start,
      ContentMD5: hexToBase64(part.md5),
    })
    const purpose = purposeOf(`part ${part.number}`, key)
    const headers = upload.hasCrc32c ? { 'x-amz-checksum-crc32c': hexToBase64(part.crc32c) } : undefined
    const asking = { ...purpose, speaks: spokeOfEtag, isSent: sending.isSent, ...(headers && { headers }) }
    const answer = await ask(target, command, asking, endOf(signal, sending))
    if (answer.refused?.code === 'NoSuchUpload') return undefined
    if (answer.refused !== undefined) throw answer.refused.error
    const etag = etagOf(answer.headers['etag'])
    if (etag === undefined) throw notProvider(errors, purpose, 'was answered without an ETag')
    const isPlain = hasPlainEtag(answer.headers) && !asksForKms(features)
    if (target.dialect().quirks.etag === 'md5' && isOther(etag, part.md5) && isPlain) {
      throw errors.because('CHECKSUM', 'DIGEST', `part ${part.number}: stored other bytes, ETag ${etag}`, {
        key,
        outcome: 'rejected',
        retryable: true,
      })
    }
    return etag
  } finally {
    sending.end()
  }
}

async function complete(
  target: Target,
  { key, source, condition }: PutRequest,
  upload: Upload,
  sent: Sent,
  signal: AbortSignal,
): Promise<Answer<{ ETag?: string | undefined; ChecksumCRC32C?: string | undefined }> | { refused: Verdict }> {
  const { sdk, bucket, errors } = target
  const command = new sdk.CompleteMultipartUploadCommand({
    Bucket: bucket,
    Key: key,
    UploadId: upload.id,
    MultipartUpload: { Parts: sent.etags.map((etag, index) => ({ PartNumber: index + 1, ETag: `"${etag}"` })) },
  })
  const checksum: Record<string, string> = upload.hasCrc32c
    ? { 'x-amz-checksum-crc32c': hexToBase64(source.crc32c), 'x-amz-checksum-type': 'FULL_OBJECT' }
    : {}
  const held = isHeldAtEnd(target) ? putCondition(condition, key, target.dialect(), errors) : {}
  const headers = { ...held, ...checksum }
  const speaks = (_answer: unknown, body: string): boolean => /<CompleteMultipartUploadResult[\s>]/.test(body)
  const answer = await ask(target, command, { ...purposeOf('end of an upload', key), headers, speaks }, signal)
  if (answer.refused === undefined && !speaks(undefined, answer.begins)) {
    throw notProvider(errors, purposeOf('end of an upload', key), 'was answered with something that is no result')
  }
  return answer
}

/** Ceph 16 leaves the ETag of the result empty: then the object is looked at. */
async function completed(
  target: Target,
  head: Head,
  request: PutRequest,
  answer: Answer<{ ETag?: string | undefined; ChecksumCRC32C?: string | undefined }>,
  sent: Sent,
  signal: AbortSignal,
): Promise<PutResult> {
  const { output, headers } = answer
  const time = { serverTime: httpDate(headers['date']) }
  const said = etagOf(output.ETag)
  if (said === undefined) {
    const found = await head(request.key, signal)
    // What another writer has put there since is not ours; then ours had the ETag that its parts make.
    const etag = found !== undefined && isOf(found, request) ? found.token : sent.etag
    return { ...partsResult(target, sent, etag), ...time }
  }
  const isWhole = crc32cHex(output.ChecksumCRC32C) === request.source.crc32c
  if (!isWhole && said !== sent.etag && sent.areDigests) {
    throw target.errors.because('CHECKSUM', 'DIGEST', `stored other bytes: ETag ${said}, expected ${sent.etag}`, {
      key: request.key,
      outcome: 'unknown',
      retryable: true,
    })
  }
  const result = partsResult(target, sent, said)
  return { ...result, ...(isWhole && { proof: 'server-full' as const }), ...time }
}

/** An ETag made of the parts' MD5s, or a service that compares Content-MD5, proves each part. */
function partsResult(target: Target, sent: Sent, etag: string): Omit<PutResult, 'serverTime'> {
  const isProven = (sent.areDigests && etag === sent.etag) || target.dialect().quirks['content-md5'] === 'checked'
  return { token: etag, etag, proof: isProven ? 'server-parts' : 'none' }
}

/** Whether the object carries this request's metadata: then it is of this write, or of one that is its equal. */
function isOf(found: RemoteObject, { metadata, source }: PutRequest): boolean {
  const entries = Object.entries(metadata)
  return (
    found.size === source.size &&
    entries.length === Object.keys(found.metadata).length &&
    entries.every(([name, value]) => found.metadata[name] === value)
  )
}

/** Where an error is already on its way, or the upload of no use: what stays behind is named by the saved state, and can be dropped later. */
async function tryAbandon(target: Target, key: string, id: string, signal: AbortSignal): Promise<void> {
  try {
    await abandonUpload(target, key, writeUpload({ id, partSize: 1, of: '', hasCrc32c: false, etags: [] }), signal)
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof HoldfastError)) throw error
  }
}
