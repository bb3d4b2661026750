import { createHash } from 'node:crypto'
import type { Answer } from '../answer.ts'
import { sliced, type Body } from '../bodies.ts'
import type { Entry } from '../store.ts'
import { amz, bucketOf, header, newKeyOf, type Call, type ObjectFacts } from './call.ts'
import { algorithms, summer, type Algorithm } from './checksum.ts'
import { checkSource, checkWrite } from './conditions.ts'
import { copiedHeaders, described, redirects } from './described.ts'
import { encryptionHeaders, etagOfBytes, hasDigestEtag } from './kept.ts'
import { uploadOf, partKey } from './multipart.ts'
import { checkAwake, defaultAlgorithm, xmlHeaders } from './objects.ts'
import { sourceRangeOf } from './ranges.ts'
import { Refusal } from './refusal.ts'
import { answerXml, text } from './xml.ts'

const mostBytes = 5 * 1024 ** 3

export async function copyObject(call: Call): Promise<Answer> {
  const { state } = call
  const bucket = bucketOf(call)
  const key = newKeyOf(call)
  const source = sourceOf(call)
  const { facts: old, body } = source.entry
  checkSource(call, old)
  if (body.size > mostBytes)
    throw invalid('The specified copy source is larger than the maximum allowable size for a copy source: 5368709120')
  const directive = directiveOf(call, 'x-amz-metadata-directive')
  const taggingDirective = directiveOf(call, 'x-amz-tagging-directive')
  const given = described(call)
  const storageClass = amz(call, 'x-amz-storage-class')
  const asksToEncrypt = amz(call, 'x-amz-server-side-encryption') !== undefined
  const sameClass = storageClass === undefined || storageClass === old.storageClass
  const unchanged = directive === 'COPY' && sameClass && !asksToEncrypt && !redirects(given)
  if (source.bucket === bucket && source.key === key && unchanged)
    throw invalid(
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    )

  // A copy is written in one piece, whatever its source was.
  const algorithm = algorithmOf(call) ?? old.checksum.algorithm
  const asItIs = old.parts === undefined && old.checksum.algorithm === algorithm && hasDigestEtag(old)
  const unpin = state.store.pin(body)
  try {
    const { md5, sum } = asItIs ? { md5: old.etag, sum: old.checksum.value } : await digests(call, body, algorithm)
    const facts: ObjectFacts = {
      ...given,
      headers: directive === 'REPLACE' ? given.headers : copiedHeaders(old.headers, given.headers),
      metadata: directive === 'REPLACE' ? given.metadata : old.metadata,
      tagging: taggingDirective === 'REPLACE' ? given.tagging : old.tagging,
      etag: etagOfBytes(given, md5),
      modifiedAt: Date.now(),
      checksum: { algorithm, type: 'FULL_OBJECT', value: sum },
      parts: undefined,
      upload: undefined,
    }
    const objects = state.objects(bucketOf(call))
    checkWrite(call, objects.get(key)?.facts)
    state.store.commit([objects.put(key, { facts, body })])
    return {
      status: 200,
      headers: { ...xmlHeaders, ...encryptionHeaders(facts) },
      body: answerXml(
        'CopyObjectResult',
        text('LastModified', new Date(facts.modifiedAt).toISOString()),
        text('ETag', `"${facts.etag}"`),
        text('ChecksumType', 'FULL_OBJECT'),
        text(`Checksum${algorithm}`, sum),
      ),
    }
  } finally {
    unpin()
  }
}

export async function uploadPartCopy(call: Call): Promise<Answer> {
  const { state } = call
  const { id, facts: upload, partNumber } = uploadOf(call)
  const { entry } = sourceOf(call)
  checkSource(call, entry.facts)
  const { start, end } = sourceRangeOf(header(call, 'x-amz-copy-source-range'), entry.body.size)
  if (end - start > mostBytes)
    throw invalid('The specified copy source is larger than the maximum allowable size for a copy source: 5368709120')
  const body = sliced(entry.body, start, end)
  const algorithm = upload.algorithm ?? defaultAlgorithm
  const unpin = state.store.pin(body)
  try {
    const { md5, sum } = await digests(call, body, algorithm)
    // The upload may have been completed or aborted in the meantime.
    uploadOf(call)
    const modifiedAt = Date.now()
    const etag = etagOfBytes(upload, md5)
    const parts = state.parts(id)
    state.store.commit([parts.put(partKey(partNumber), { facts: { etag, modifiedAt, checksum: sum }, body })])
    return {
      status: 200,
      headers: { ...xmlHeaders, ...encryptionHeaders(upload) },
      body: answerXml(
        'CopyPartResult',
        text('LastModified', new Date(modifiedAt).toISOString()),
        text('ETag', `"${etag}"`),
        ...(upload.algorithm === undefined ? [] : [text(`Checksum${algorithm}`, sum)]),
      ),
    }
  } finally {
    unpin()
  }
}

interface Source {
  readonly bucket: string
  readonly key: string
  readonly entry: Entry<ObjectFacts>
}

function sourceOf(call: Call): Source {
  const value = header(call, 'x-amz-copy-source') ?? ''
  const [path = '', version] = value.split('?versionId=')
  const refuse = new Refusal(
    'InvalidArgument',
    { ArgumentName: 'x-amz-copy-source', ArgumentValue: value },
    'Copy Source must mention the source bucket and key: sourcebucket/sourcekey',
  )
  let decoded: string
  try {
    decoded = decodeURIComponent(path.replaceAll('+', ' ')).replace(/^\//, '')
  } catch {
    throw refuse
  }
  const slash = decoded.indexOf('/')
  if (slash <= 0 || slash === decoded.length - 1) throw refuse
  const bucket = decoded.slice(0, slash)
  const key = decoded.slice(slash + 1)
  if (call.state.buckets.get(bucket) === undefined) throw new Refusal('NoSuchBucket', { BucketName: bucket })
  if (version !== undefined && version !== 'null') throw new Refusal('NoSuchVersion', { Key: key, VersionId: version })
  const entry = call.state.objects(bucket).get(key)
  if (entry === undefined) throw new Refusal('NoSuchKey', { Key: key })
  checkAwake(entry.facts)
  return { bucket, key, entry }
}

function directiveOf(call: Call, name: string): 'COPY' | 'REPLACE' {
  const value = amz(call, name) ?? 'COPY'
  if (value !== 'COPY' && value !== 'REPLACE')
    throw new Refusal('InvalidArgument', { ArgumentName: name, ArgumentValue: value }, 'Unknown metadata directive.')
  return value
}

function algorithmOf(call: Call): Algorithm | undefined {
  const value = amz(call, 'x-amz-checksum-algorithm')
  if (value === undefined) return undefined
  const algorithm = algorithms.find(each => each === value.toUpperCase())
  if (algorithm === undefined) throw invalid('Checksum algorithm provided is unsupported.')
  return algorithm
}

/** Reads the body once. */
async function digests(call: Call, body: Body, algorithm: Algorithm): Promise<{ md5: string; sum: string }> {
  const md5 = createHash('md5')
  const checksum = summer(algorithm)
  const opened = call.state.store.open(body, 0, body.size)
  if (opened instanceof Uint8Array) {
    md5.update(opened)
    checksum.update(opened)
  } else {
    try {
      for await (const chunk of opened.chunks()) {
        md5.update(chunk)
        checksum.update(chunk)
      }
    } finally {
      opened.close()
    }
  }
  return { md5: md5.digest('hex'), sum: checksum.digest().toString('base64') }
}

function invalid(message: string): Refusal {
  return new Refusal('InvalidRequest', {}, message)
}
