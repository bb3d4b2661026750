import { createHash } from 'node:crypto'
import type { Answer } from '../answer.ts'
import { joined } from '../bodies.ts'
import type { Entry } from '../store.ts'
import {
  bucketOf,
  header,
  keyOf,
  query,
  type Call,
  type ObjectFacts,
  type PartFacts,
  type UploadFacts,
} from './call.ts'
import { algorithms, checksumHeader, combined, compositeOf, isDigest, type Checksum } from './checksum.ts'
import { checkWrite } from './conditions.ts'
import { encryptionHeaders } from './kept.ts'
import { mostParts, partKey } from './multipart.ts'
import { defaultAlgorithm, xmlHeaders } from './objects.ts'
import { receiveDocument } from './payload.ts'
import { Refusal } from './refusal.ts'
import { answerXml, childText, parseXml, text, type XmlElement } from './xml.ts'

const smallestPart = 5 * 1024 ** 2
const documentLimit = 16 * 1024 ** 2

interface ListedPart {
  readonly number: number
  readonly etag: string
  readonly checksums: readonly (readonly [algorithm: string, value: string])[]
}

interface KnownPart {
  readonly number: number
  readonly entry: Entry<PartFacts>
}

export async function completeMultipartUpload(call: Call): Promise<Answer> {
  const { state } = call
  const bucket = bucketOf(call)
  const key = keyOf(call)
  const id = query(call, 'uploadId') ?? ''
  const listed = listedParts(await receiveDocument(call, documentLimit, 'about the object'))
  const objects = state.objects(bucketOf(call))
  const current = objects.get(key)?.facts
  const upload = state.uploads(bucket).get(id)?.facts
  if (upload === undefined || upload.key !== key) {
    // Completing again what was completed answers as the first time did, for as long as the object is there.
    const again = current?.upload === id && current.etag === etagOf(listed.map(({ etag }) => etag))
    if (!again || current === undefined) throw new Refusal('NoSuchUpload', { UploadId: id })
    checkWrite(call, current)
    return completed(call, bucket, key, current)
  }
  const parts = checkedParts(call, id, upload, listed)
  const body = joined(parts.map(({ entry }) => entry.body))
  const announced = header(call, 'x-amz-mp-object-size')
  if (announced !== undefined && Number(announced) !== body.size)
    throw invalid(
      `The provided 'x-amz-mp-object-size' header value ${announced} does not match what was computed: ${body.size}`,
    )
  const checksum = checksumOf(upload, parts)
  checkWholeChecksum(call, upload, checksum)
  checkWrite(call, current)

  const { key: _key, begunAt: _begunAt, algorithm: _algorithm, type: _type, ...words } = upload
  const facts: ObjectFacts = {
    ...words,
    etag: etagOf(parts.map(({ entry }) => entry.facts.etag)),
    modifiedAt: Date.now(),
    checksum,
    parts: parts.map(({ number, entry }) => [number, entry.body.size, entry.facts.checksum]),
    upload: id,
  }
  const space = state.parts(id)
  state.store.commit([
    objects.put(key, { facts, body }),
    state.uploads(bucket).remove(id),
    ...[...space.keys({ from: '' })].map(part => space.remove(part)),
  ])
  return completed(call, bucket, key, facts)
}

function completed(call: Call, bucket: string, key: string, facts: ObjectFacts): Answer {
  const { etag, checksum } = facts
  return {
    status: 200,
    headers: { ...xmlHeaders, ...encryptionHeaders(facts) },
    body: answerXml(
      'CompleteMultipartUploadResult',
      text('Location', `http://${call.request.headers.host ?? ''}${call.route.path}`),
      text('Bucket', bucket),
      text('Key', key),
      text('ETag', `"${etag}"`),
      text(`Checksum${checksum.algorithm}`, checksum.value),
      text('ChecksumType', checksum.type),
    ),
  }
}

/** MD5 of the parts' MD5s, and their number. */
function etagOf(etags: readonly string[]): string {
  const md5 = createHash('md5')
  for (const etag of etags) md5.update(Buffer.from(etag, 'hex'))
  return `${md5.digest('hex')}-${etags.length}`
}

function listedParts(document: Uint8Array): ListedPart[] {
  const root = parseXml(document)
  if (root.name !== 'CompleteMultipartUpload' || root.children.length === 0 || root.children.length > mostParts)
    throw new Refusal('MalformedXML')
  return root.children.map(listedPart)
}

function listedPart(part: XmlElement): ListedPart {
  const number = childText(part, 'PartNumber') ?? ''
  const etag = childText(part, 'ETag')
  if (part.name !== 'Part' || etag === undefined || !/^\d{1,5}$/.test(number)) throw new Refusal('MalformedXML')
  const checksums = part.children
    .filter(({ name }) => name.startsWith('Checksum'))
    .map(({ name, text: value }) => [name.slice('Checksum'.length), value] as const)
  return { number: Number(number), etag: etag.trim().replace(/^"(.*)"$/, '$1'), checksums }
}

/** The parts that the client listed, as they were uploaded. */
function checkedParts(call: Call, id: string, upload: UploadFacts, listed: readonly ListedPart[]): KnownPart[] {
  const space = call.state.parts(id)
  let before = 0
  for (const { number } of listed) {
    if (number <= before) throw new Refusal('InvalidPartOrder', { UploadId: id })
    before = number
  }
  return listed.map(({ number, etag, checksums }, index) => {
    const entry = space.get(partKey(number))
    const wrong = new Refusal('InvalidPart', { UploadId: id, PartNumber: number, ETag: etag })
    if (entry === undefined || entry.facts.etag !== etag) throw wrong
    const { algorithm, type } = upload
    const [sent] = checksums
    if (algorithm === undefined) {
      // Parts of such an upload have no checksum that S3 would know them by.
      if (sent !== undefined) throw wrong
    } else if (sent === undefined) {
      if (type === 'COMPOSITE')
        throw invalid(
          `The upload was created using a ${algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${number} in the request.`,
        )
    } else if (sent[0] !== algorithm) {
      throw new Refusal(
        'BadDigest',
        {},
        `The ${sent[0].toLowerCase()} you specified for part ${number} did not match what we received.`,
      )
    } else if (sent[1] !== entry.facts.checksum) {
      throw wrong
    }
    if (index < listed.length - 1 && entry.body.size < smallestPart)
      throw new Refusal('EntityTooSmall', {
        ProposedSize: entry.body.size,
        MinSizeAllowed: smallestPart,
        PartNumber: number,
        ETag: etag,
      })
    return { number, entry }
  })
}

function checksumOf({ algorithm = defaultAlgorithm, type }: UploadFacts, parts: readonly KnownPart[]): Checksum {
  const values = parts.map(({ entry }) => ({ value: entry.facts.checksum, size: entry.body.size }))
  const value =
    type === 'FULL_OBJECT'
      ? combined(algorithm, values)
      : compositeOf(
          algorithm,
          values.map(each => each.value),
        )
  return { algorithm, type, value }
}

/** The checksum of the whole that a client may send along. */
function checkWholeChecksum(call: Call, upload: UploadFacts, checksum: Checksum): void {
  const type = header(call, 'x-amz-checksum-type')
  if (type !== undefined && type !== upload.type)
    throw invalid(
      `The upload was created using the ${upload.type} checksum mode. The complete request must use the same checksum mode.`,
    )
  for (const algorithm of algorithms) {
    const value = header(call, checksumHeader(algorithm))
    if (value === undefined) continue
    if (algorithm !== checksum.algorithm)
      throw invalid(
        `Checksum Type mismatch occurred, expected checksum Type: ${checksum.algorithm.toLowerCase()}, actual checksum Type: ${algorithm.toLowerCase()}`,
      )
    const bare = value.replace(/-\d+$/, '')
    if (!isDigest(algorithm, bare)) throw invalid(`Value for ${checksumHeader(algorithm)} header is invalid.`)
    if (value !== checksum.value && bare !== checksum.value.replace(/-\d+$/, ''))
      throw new Refusal(
        'BadDigest',
        {},
        `The ${algorithm.toLowerCase()} you specified did not match the calculated checksum.`,
      )
  }
}

function invalid(message: string): Refusal {
  return new Refusal('InvalidRequest', {}, message)
}
