import { randomBytes } from 'node:crypto'
import type { CompleteMultipartUploadCommandOutput, ServiceInputTypes, ServiceOutputTypes } from '@aws-sdk/client-s3'
import { digestsOf, hexToBase64 } from '../../core/digest.ts'
import { HoldfastError } from '../../core/errors.ts'
import type { Capabilities } from '../../core/provider.ts'
import { type Answer, ask, type Command, type Refusal, type Target } from './call.ts'
import { hasRequestId } from './classify.ts'
import { type Dialect, type Quirks, questions } from './dialect.ts'
import { listObjects } from './list.ts'
import { crc32cHex, etagOf, hasPlainEtag, wholeCrc32c } from './object.ts'
import { spokeOfEtag } from './put.ts'

type Reply = Answer<unknown> | Refusal

/**
 * Asks the service what it can, with some twenty requests about two objects of its own, which it deletes again; or believes what was
 * remembered, if that was an answer to the same questions. What a preset says is not asked. Rejects, and learns nothing, when a question
 * gets no answer.
 */
export async function learnDialect(
  target: Target,
  under: string,
  known: Quirks,
  remembered: Capabilities | undefined,
  signal: AbortSignal,
): Promise<Dialect> {
  const { sign } = target.dialect()
  if (remembered?.quirks['asked'] === questions) {
    return { ...remembered, sign, quirks: { ...remembered.quirks, ...known } }
  }
  // Blanks, signs and letters that a service may spell otherwise in a listing.
  const keys = [
    `${under}${randomBytes(8).toString('hex')}/a+b c%41é`,
    `${under}${randomBytes(8).toString('hex')}/parts`,
  ] as const
  const inquiry = inquire(target, keys, known, signal)
  try {
    return { ...(await inquiry.run()), sign }
  } finally {
    await inquiry.tidy()
  }
}

const refusals = new Set([400, 501])

/** Asks one thing after the other; the answers change how the next question is asked. */
function inquire(
  base: Target,
  [key, partsKey]: readonly [string, string],
  known: Quirks,
  signal: AbortSignal,
): { run(): Promise<Omit<Dialect, 'sign'>>; tidy(): Promise<void> } {
  const quirks: Record<string, string> = { ...known, 'request-id': 'never' }
  const target: Target = { ...base, dialect: () => ({ ...base.dialect(), quirks }) }
  const { sdk, bucket, errors } = target
  const left = new Set<string>()
  const [one, two] = [Buffer.from('holdfast asks what this service can\n'), Buffer.from('and asks again\n')]

  async function run(): Promise<Omit<Dialect, 'sign'>> {
    const first = must(await firstPut())
    left.add(key)
    quirks['request-id'] = hasRequestId(first.headers) ? 'always' : 'never'
    const createIfAbsent = isHeld(await put(two, { 'if-none-match': '*' }))
    // Whatever became of it: the object is the first again.
    must(await put(one, {}))
    const attests = await lookAtHead()
    await offerWrongMd5()
    const replaceIf = await replace()
    const etag = etagOf(must(await put(one, {})).headers['etag']) ?? ''
    const readIf = await readPinned(etag)
    const isListed = (await listed()).includes(key)
    await askOfParts(createIfAbsent, replaceIf)
    const deleteIf = await deleteOther(etag)
    must(await remove(key, {}))
    const listsAtOnce = isListed && !(await listed()).includes(key)
    return {
      createIfAbsent,
      replaceIf,
      deleteIf,
      uniqueTokens: false,
      readIf,
      attests,
      listsAtOnce,
      quirks: { ...quirks, asked: questions },
    }
  }

  /** With all that a put can carry; without the checksum, if that is what it stumbles over. */
  async function firstPut(): Promise<Reply> {
    if (known.crc32c !== undefined) return await put(one, {})
    quirks['crc32c'] = 'ignored'
    const answer = await put(one, {})
    if (!isRefused(answer)) return answer
    quirks['crc32c'] = 'refused'
    return await put(one, {})
  }

  async function put(
    bytes: Buffer,
    condition: Readonly<Record<string, string>>,
    md5 = digestsOf(bytes).md5,
  ): Promise<Reply> {
    const crc = hexToBase64(digestsOf(bytes).crc32c)
    const checksum: Record<string, string> = quirks['crc32c'] === 'refused' ? {} : { 'x-amz-checksum-crc32c': crc }
    const command = new sdk.PutObjectCommand({
      Bucket: bucket,
      Key: key,
      Body: bytes,
      ContentLength: bytes.byteLength,
      ContentMD5: hexToBase64(md5),
      ContentType: 'text/plain',
      Metadata: { probe_a: 'a', 'probe-b': 'b' },
    })
    return await question(command, { ...condition, ...checksum }, spokeOfEtag)
  }

  /** What HEAD says: which digests, and whether names of metadata came through. */
  async function lookAtHead(): Promise<readonly ('crc32c' | 'md5')[]> {
    const head = (mode: Readonly<Record<string, string>>): Promise<Reply> =>
      question(new sdk.HeadObjectCommand({ Bucket: bucket, Key: key }), mode, spokeOfEtag)
    let answer = await head(quirks['crc32c'] === 'refused' ? {} : { 'x-amz-checksum-mode': 'ENABLED' })
    if (isRefused(answer) && quirks['crc32c'] !== 'refused') {
      quirks['crc32c'] = 'refused'
      answer = await head({})
    }
    const { headers } = must(answer)
    const expected = digestsOf(one)
    const hasCrc = quirks['crc32c'] !== 'refused' && wholeCrc32c(headers) === expected.crc32c
    if (hasCrc) quirks['crc32c'] = 'checked'
    const isMd5 = etagOf(headers['etag']) === expected.md5 && hasPlainEtag(headers)
    quirks['etag'] = isMd5 ? 'md5' : 'opaque'
    quirks['underscore'] = headers['x-amz-meta-probe_a'] === 'a' ? 'kept' : 'lost'
    return [...(hasCrc ? (['crc32c'] as const) : []), ...(isMd5 ? (['md5'] as const) : [])]
  }

  async function offerWrongMd5(): Promise<void> {
    const answer = await put(two, {}, digestsOf(one).md5)
    if (!isRefused(answer)) must(answer)
    quirks['content-md5'] = isRefused(answer) ? 'checked' : 'ignored'
    if (!isRefused(answer)) must(await put(one, {}))
  }

  /** Whether another object is left alone and the right one replaced; ETags are wanted with quotes, or without. */
  async function replace(): Promise<boolean> {
    for (const form of ['quoted', 'bare'] as const) {
      const asForm = (etag: string): string => (form === 'quoted' ? `"${etag}"` : etag)
      const wrong = await put(two, { 'if-match': asForm(digestsOf(two).md5) })
      if (!isHeld(wrong)) break
      const right = await put(one, { 'if-match': asForm(digestsOf(one).md5) })
      if (right.refused === undefined) {
        quirks['if-match'] = form
        return true
      }
      if (!isHeld(right)) break
    }
    return false
  }

  async function readPinned(etag: string): Promise<boolean> {
    const get = (pin: string): Promise<Reply> =>
      question(new sdk.GetObjectCommand({ Bucket: bucket, Key: key }), { 'if-match': form(pin) }, spokeOfEtag)
    return isHeld(await get(digestsOf(two).md5)) && !isHeld(await get(etag))
  }

  async function deleteOther(etag: string): Promise<boolean> {
    if (!isHeld(await remove(key, { 'if-match': form(digestsOf(two).md5) }))) return false
    return (await remove(key, { 'if-match': form(etag) })).refused === undefined
  }

  function form(etag: string): string {
    return quirks['if-match'] === 'bare' ? etag : `"${etag}"`
  }

  async function listed(): Promise<string[]> {
    const prefix = key.slice(0, key.lastIndexOf('/') + 1)
    const names: string[] = []
    for await (const entry of listObjects(target, { prefix, delimiter: '', startAfter: '' }, signal)) {
      if (entry.type === 'object') names.push(entry.key)
    }
    const odd = names.find(name => name !== key)
    if (odd !== undefined) {
      throw errors.because('UNAVAILABLE', 'PROTOCOL', `lists ${JSON.stringify(key)} as ${JSON.stringify(odd)}`)
    }
    return names
  }

  /** An upload of one part, twice completed under conditions that do not hold: over `partsKey`, where an object is. */
  async function askOfParts(createIfAbsent: boolean, replaceIf: boolean): Promise<void> {
    quirks['parts-condition'] = 'none'
    if (quirks['parts-crc32c'] === undefined)
      quirks['parts-crc32c'] = quirks['crc32c'] === 'checked' ? 'checked' : 'none'
    const whole = hexToBase64(digestsOf(one).crc32c)
    let upload = await onePart(quirks['parts-crc32c'] === 'checked' ? whole : undefined)
    if (upload === undefined) {
      quirks['parts-crc32c'] = 'none'
      upload = await onePart(undefined)
    }
    if (upload === undefined) return
    left.add(partsKey)
    const done = await upload.complete({})
    const said =
      done.refused === undefined ? (done.output as CompleteMultipartUploadCommandOutput).ChecksumCRC32C : undefined
    if (crc32cHex(said) !== digestsOf(one).crc32c) quirks['parts-crc32c'] = 'none'
    if (!createIfAbsent || !replaceIf) return
    const second = await onePart(quirks['parts-crc32c'] === 'checked' ? whole : undefined)
    if (second === undefined) return
    const wrong = await second.complete({ 'if-match': form(digestsOf(two).md5) })
    const absent = isHeld(wrong) ? await second.complete({ 'if-none-match': '*' }) : wrong
    if (isHeld(absent)) quirks['parts-condition'] = 'atomic'
    await second.drop()
  }

  async function onePart(crc32c: string | undefined): Promise<OnePart | undefined> {
    const at = { Bucket: bucket, Key: partsKey }
    const checksum: Record<string, string> = crc32c === undefined ? {} : { 'x-amz-checksum-crc32c': crc32c }
    const type: Record<string, string> = crc32c === undefined ? {} : { 'x-amz-checksum-type': 'FULL_OBJECT' }
    const algorithm: Record<string, string> = crc32c === undefined ? {} : { 'x-amz-checksum-algorithm': 'CRC32C' }
    const begun = await question(new sdk.CreateMultipartUploadCommand(at), { ...algorithm, ...type }, isXml)
    if (isRefused(begun)) return undefined
    const { UploadId } = must(begun).output as { UploadId?: string }
    if (UploadId === undefined) return undefined
    const drop = async (): Promise<void> => {
      await question(new sdk.AbortMultipartUploadCommand({ ...at, UploadId }), {}, () => true)
    }
    const part = await question(
      new sdk.UploadPartCommand({ ...at, UploadId, PartNumber: 1, Body: one, ContentLength: one.byteLength }),
      checksum,
      spokeOfEtag,
    )
    if (isRefused(part)) {
      await drop()
      return undefined
    }
    const ETag = must(part).headers['etag']
    const complete = (condition: Readonly<Record<string, string>>): Promise<Reply> =>
      question(
        new sdk.CompleteMultipartUploadCommand({
          ...at,
          UploadId,
          MultipartUpload: { Parts: [{ PartNumber: 1, ...(ETag === undefined ? {} : { ETag }) }] },
        }),
        { ...condition, ...checksum, ...type },
        isXml,
      )
    return { complete, drop }
  }

  async function remove(name: string, condition: Readonly<Record<string, string>>): Promise<Reply> {
    const command = new sdk.DeleteObjectCommand({ Bucket: bucket, Key: name })
    return await question(command, condition, ({ status }) => status === 204)
  }

  /** Rejects where there is no telling what the service would have answered. */
  async function question<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: Command<Input, Output>,
    headers: Readonly<Record<string, string>>,
    speaks: (answer: { status: number; headers: Readonly<Record<string, string>> }, body: string) => boolean,
  ): Promise<Reply> {
    const answer = await ask(target, command, { call: 'learn', writes: false, headers, speaks }, signal)
    if (answer.refused === undefined) return answer
    const { error, status, spoke } = answer.refused
    const isAnswer = status !== undefined && spoke && (status < 500 || status === 501) && error.reason !== 'THROTTLED'
    const isWholly = ['CREDENTIALS', 'ACCOUNT', 'BUCKET', 'REGION', 'CLOCK', 'FORBIDDEN', 'TLS'].includes(
      error.reason ?? '',
    )
    if (!isAnswer || isWholly) throw error
    return answer
  }

  return {
    run,
    /** Leaves nothing behind, if it can: what stays is under a name that says that it may be deleted. */
    async tidy() {
      for (const name of left) {
        try {
          await remove(name, {})
        } catch (error) {
          if (!(error instanceof HoldfastError) && !signal.aborted) throw error
        }
      }
    },
  }
}

interface OnePart {
  complete(condition: Readonly<Record<string, string>>): Promise<Reply>
  drop(): Promise<void>
}

const isXml = (_answer: unknown, body: string): boolean => /UploadResult[\s>]/.test(body)

/** The service will not have it so: an unknown header, a wrong digest. */
function isRefused(reply: Reply): boolean {
  return reply.refused?.status !== undefined && refusals.has(reply.refused.status)
}

/** A condition that did not hold was noticed. */
function isHeld(reply: Reply): boolean {
  return reply.refused?.error.code === 'PRECONDITION'
}

function must(reply: Reply): Answer<unknown> {
  if (reply.refused !== undefined) throw reply.refused.error
  return reply
}
