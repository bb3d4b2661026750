import { amazonAt, type Answer, named, type Recorder, reply } from '../providers/s3-recorder.ts'
import { bearer } from '../providers/gcs-support.ts'
import { proof } from '../providers/azure-recorder.ts'
import type { Provider } from '../../src/core/provider.ts'
import { azure } from '../../src/providers/azure.ts'
import { gcs } from '../../src/providers/gcs.ts'
import type { Canaries } from './canary.ts'

/** A service as somebody plays it who wants to do harm: each in the words of its own protocol, and none of it true. */
export interface Service {
  readonly name: 's3' | 'gcs' | 'azure'
  /** Of a bucket `main` there, or of what lies under a prefix in it. */
  provider(endpoint: string, secrets: Canaries, prefix?: string): Promise<Provider>
  /** A page of a listing. What an entry leaves out is good. */
  page(entries: readonly Listed[], more?: { readonly prefixes?: readonly string[]; readonly next?: string }): Answer
  /** HEAD or its like about one object. `metadata`: names and values as they are on the wire. */
  object(fields: Described, metadata?: Readonly<Record<string, string>>): Answer
  /** A refusal, by its code, with words and headers. */
  refusal(status: number, code: string, words: string, headers?: Readonly<Record<string, string>>): Answer
  /** Any body under headers that only the service sends. */
  say(status: number, body: string | Buffer, headers?: Readonly<Record<string, string>>): Answer
}

export interface Listed {
  readonly key: string
  readonly size?: string
  readonly etag?: string
  readonly modified?: string
}

export interface Described {
  readonly key?: string
  readonly size?: string
  readonly etag?: string
  readonly modified?: string
}

const httpTime = 'Sat, 21 Nov 2026 10:00:00 GMT'
const isoTime = '2026-11-21T10:00:00.000Z'

const s3Service: Service = {
  name: 's3',
  provider: async (endpoint, { accessKeyId, secretAccessKey, sessionToken }, prefix) =>
    amazonAt(endpoint, {
      credentials: { accessKeyId, secretAccessKey, sessionToken },
      ...(prefix === undefined ? {} : { prefix }),
    }),
  page(entries, { prefixes = [], next } = {}) {
    const contents = entries.map(
      ({ key, size = '1', etag = '"e"', modified = isoTime }) =>
        `<Contents><Key>${escaped(encodeURIComponent(key))}</Key><LastModified>${modified}</LastModified><ETag>${escaped(etag)}</ETag><Size>${size}</Size></Contents>`,
    )
    const folded = prefixes.map(
      each => `<CommonPrefixes><Prefix>${escaped(encodeURIComponent(each))}</Prefix></CommonPrefixes>`,
    )
    const going = next === undefined ? '' : `<NextContinuationToken>${escaped(next)}</NextContinuationToken>`
    const body = `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>main</Name><EncodingType>url</EncodingType><IsTruncated>${next !== undefined}</IsTruncated>${going}${contents.join('')}${folded.join('')}</ListBucketResult>`
    return reply(200, { ...named, 'content-type': 'application/xml' }, body)
  },
  object({ size = '1', etag = '"e"', modified = httpTime }, metadata = {}) {
    const kept = Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name}`, value])
    const headers = { ...named, etag, 'last-modified': modified, 'content-length': size, ...Object.fromEntries(kept) }
    return reply(200, headers, 'x')
  },
  refusal: (status, code, words, headers = {}) =>
    reply(
      status,
      { ...named, 'content-type': 'application/xml', ...headers },
      `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${escaped(code)}</Code><Message>${escaped(words)}</Message><RequestId>TX0001</RequestId></Error>`,
    ),
  say: (status, body, headers = {}) => reply(status, { ...named, 'content-type': 'application/xml', ...headers }, body),
}

const gcsService: Service = {
  name: 'gcs',
  provider: async (endpoint, secrets, prefix) =>
    gcs({
      bucket: 'main',
      apiEndpoint: endpoint,
      authClient: bearer(secrets.bearer),
      ...(prefix === undefined ? {} : { prefix }),
    }),
  page(entries, { prefixes = [], next } = {}) {
    const items = entries.map(
      ({ key, size = '"1"', etag = '1', modified = isoTime }) =>
        `{"name":${JSON.stringify(key)},"size":${size},"generation":${JSON.stringify(etag)},"updated":${JSON.stringify(modified)}}`,
    )
    const going = next === undefined ? '' : `,"nextPageToken":${JSON.stringify(next)}`
    const body = `{"kind":"storage#objects","items":[${items.join()}],"prefixes":${JSON.stringify(prefixes)}${going}}`
    return reply(200, { 'content-type': 'application/json' }, body)
  },
  object({ key = 'k', size = '"1"', etag = '1', modified = isoTime }, metadata = {}) {
    const kept = Object.entries(metadata).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
    const body = `{"kind":"storage#object","bucket":"main","name":${JSON.stringify(key)},"size":${size},"generation":${JSON.stringify(etag)},"updated":${JSON.stringify(modified)},"metadata":{${kept.join()}}}`
    return reply(200, { 'content-type': 'application/json' }, body)
  },
  refusal: (status, code, words, headers = {}) =>
    reply(
      status,
      { 'content-type': 'application/json', ...headers },
      JSON.stringify({ error: { code: status, message: words, errors: [{ reason: code, message: words }] } }),
    ),
  say: (status, body, headers = {}) =>
    reply(status, { 'content-type': 'application/json', 'x-guploader-uploadid': 'AA', ...headers }, body),
}

const azureService: Service = {
  name: 'azure',
  provider: async (endpoint, { accountKey }, prefix) =>
    azure({
      container: 'main',
      endpoint: `${endpoint}/account`,
      accountName: 'account',
      accountKey,
      ...(prefix === undefined ? {} : { prefix }),
    }),
  page(entries, { prefixes = [], next = '' } = {}) {
    const blobs = entries.map(
      ({ key, size = '1', etag = '0x8D1', modified = httpTime }) =>
        `<Blob><Name>${escaped(key)}</Name><Properties><Last-Modified>${modified}</Last-Modified><Etag>${escaped(etag)}</Etag><Content-Length>${size}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>`,
    )
    const folded = prefixes.map(each => `<BlobPrefix><Name>${escaped(each)}</Name></BlobPrefix>`)
    const body = `\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://x/" ContainerName="main"><Blobs>${blobs.join('')}${folded.join('')}</Blobs><NextMarker>${escaped(next)}</NextMarker></EnumerationResults>`
    return reply(200, { ...proof, 'content-type': 'application/xml' }, body)
  },
  object({ size = '1', etag = '"0x8D1"', modified = httpTime }, metadata = {}) {
    const kept = Object.entries(metadata).map(([name, value]) => [`x-ms-meta-${name}`, value])
    const headers = {
      ...proof,
      etag,
      'last-modified': modified,
      'content-length': size,
      'x-ms-blob-type': 'BlockBlob',
      ...Object.fromEntries(kept),
    }
    return reply(200, headers, 'x')
  },
  refusal: (status, code, words, headers = {}) =>
    reply(
      status,
      { ...proof, 'content-type': 'application/xml', 'x-ms-error-code': code, ...headers },
      `<?xml version="1.0" encoding="utf-8"?><Error><Code>${escaped(code)}</Code><Message>${escaped(words)}</Message></Error>`,
    ),
  say: (status, body, headers = {}) => reply(status, { ...proof, 'content-type': 'application/xml', ...headers }, body),
}

export const services: readonly Service[] = [s3Service, gcsService, azureService]

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** What came with the requests so far and opens doors: whoever plays the service knows it. */
export function received({ requests }: Pick<Recorder, 'requests'>): ReadonlySet<string> {
  const known = new Set<string>()
  for (const { url, headers } of requests) {
    const { authorization = '' } = headers
    const token = headers['x-amz-security-token']
    for (const word of authorization.split(/[\s,]+|Credential=|Signature=|SharedKey|Bearer|account:/)) known.add(word)
    if (typeof token === 'string') known.add(token)
    for (const name of ['sig', 'X-Amz-Signature', 'upload_id']) {
      known.add(new URL(url, 'http://host').searchParams.get(name) ?? '')
    }
  }
  return new Set(
    [...known].filter(word => word.length >= 20 && !word.startsWith('AWS4') && !word.includes('SignedHeaders')),
  )
}
