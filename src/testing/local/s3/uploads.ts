import { compareKeys } from '../../../core/key.ts'
import type { Answer } from '../answer.ts'
import type { Entry } from '../store.ts'
import { bucketOf, query, type Call, type PartFacts, type UploadFacts } from './call.ts'
import { argument, limitOf, ownerXml, questionOf, wholeSeconds } from './listing.ts'
import { existingUpload, partKey } from './multipart.ts'
import { xmlHeaders } from './objects.ts'
import { answerXml, element, text } from './xml.ts'

export async function listParts(call: Call): Promise<Answer> {
  const bucket = bucketOf(call)
  const { id, facts: upload } = existingUpload(call)
  const most = limitOf(call, 'max-parts')
  const marker = query(call, 'part-number-marker') ?? '0'
  if (!/^\d{1,9}$/.test(marker))
    throw argument('part-number-marker', marker, 'Provided part-number-marker not an integer or within integer range')
  const space = call.state.parts(id)
  const found: { number: number; entry: Entry<PartFacts> }[] = []
  let truncated = false
  for (const part of space.keys({ after: partKey(Number(marker)) })) {
    const entry = space.get(part)
    if (entry === undefined) continue
    truncated = found.length === most
    if (truncated) break
    found.push({ number: Number(part), entry })
  }
  const { algorithm } = upload
  return {
    status: 200,
    headers: xmlHeaders,
    body: answerXml(
      'ListPartsResult',
      text('Bucket', bucket),
      text('Key', upload.key),
      text('UploadId', id),
      ownerXml.replaceAll('Owner>', 'Initiator>'),
      ownerXml,
      text('StorageClass', upload.storageClass),
      text('PartNumberMarker', Number(marker)),
      text('NextPartNumberMarker', found.at(-1)?.number ?? 0),
      text('MaxParts', most),
      text('IsTruncated', truncated && most > 0),
      ...(algorithm === undefined ? [] : [text('ChecksumAlgorithm', algorithm), text('ChecksumType', upload.type)]),
      ...found.map(({ number, entry: { facts, body } }) =>
        element(
          'Part',
          text('PartNumber', number),
          text('LastModified', wholeSeconds(facts.modifiedAt)),
          text('ETag', `"${facts.etag}"`),
          text('Size', body.size),
          ...(algorithm === undefined ? [] : [text(`Checksum${algorithm}`, facts.checksum)]),
        ),
      ),
    ),
  }
}

export async function listMultipartUploads(call: Call): Promise<Answer> {
  const bucket = bucketOf(call)
  const asked = questionOf(call, 'max-uploads')
  const keyMarker = query(call, 'key-marker') ?? ''
  const idMarker = keyMarker === '' ? '' : (query(call, 'upload-id-marker') ?? '')
  const space = call.state.uploads(bucket)
  const all = [...space.keys({ from: '' })].flatMap(id => {
    const facts = space.get(id)?.facts
    return facts === undefined || !facts.key.startsWith(asked.prefix) ? [] : [{ id, facts }]
  })
  all.sort(
    (a, b) => compareKeys(a.facts.key, b.facts.key) || a.facts.begunAt - b.facts.begunAt || compareKeys(a.id, b.id),
  )
  const marked = all.findIndex(({ id }) => id === idMarker)
  const isBehind = (key: string, index: number): boolean => {
    const order = keyMarker === '' ? 1 : compareKeys(key, keyMarker)
    return order > 0 || (order === 0 && idMarker !== '' && index > marked)
  }

  const uploads: string[] = []
  const prefixes = new Set<string>()
  let last: { key: string; id: string } = { key: '', id: '' }
  let truncated = false
  for (const [index, { id, facts }] of all.entries()) {
    const cut = asked.delimiter === '' ? -1 : facts.key.indexOf(asked.delimiter, asked.prefix.length)
    const group = cut < 0 ? undefined : facts.key.slice(0, cut + asked.delimiter.length)
    if (!isBehind(facts.key, index) || (group !== undefined && (prefixes.has(group) || group === keyMarker))) continue
    truncated = uploads.length + prefixes.size === asked.most
    if (truncated) break
    if (group === undefined) uploads.push(uploadXml(asked.shown(facts.key), id, facts))
    else prefixes.add(group)
    last = group === undefined ? { key: facts.key, id } : { key: group, id: '' }
  }
  return {
    status: 200,
    headers: xmlHeaders,
    body: answerXml(
      'ListMultipartUploadsResult',
      text('Bucket', bucket),
      text('KeyMarker', asked.shown(keyMarker)),
      text('UploadIdMarker', idMarker),
      text('NextKeyMarker', truncated ? asked.shown(last.key) : ''),
      text('NextUploadIdMarker', truncated ? last.id : ''),
      ...(asked.delimiter === '' ? [] : [text('Delimiter', asked.shown(asked.delimiter))]),
      text('Prefix', asked.shown(asked.prefix)),
      text('MaxUploads', asked.most),
      ...(asked.encoded ? [text('EncodingType', 'url')] : []),
      text('IsTruncated', truncated && asked.most > 0),
      ...uploads,
      ...[...prefixes].map(prefix => element('CommonPrefixes', text('Prefix', asked.shown(prefix)))),
    ),
  }
}

function uploadXml(shownKey: string, id: string, { begunAt, storageClass, algorithm, type }: UploadFacts): string {
  return element(
    'Upload',
    text('Key', shownKey),
    text('UploadId', id),
    ownerXml.replaceAll('Owner>', 'Initiator>'),
    ownerXml,
    text('StorageClass', storageClass),
    text('Initiated', new Date(begunAt).toISOString()),
    ...(algorithm === undefined ? [] : [text('ChecksumAlgorithm', algorithm), text('ChecksumType', type)]),
  )
}
