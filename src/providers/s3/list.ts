import type { _Object } from '@aws-sdk/client-s3'
import { shown } from '../../core/errors.ts'
import { compareKeys } from '../../core/key.ts'
import type { ListRequest, RemoteEntry } from '../../core/provider.ts'
import { call, type Target } from './call.ts'
import { notProvider, protocolError, type Purpose } from './classify.ts'
import { etagOf } from './object.ts'

const purpose: Purpose = { call: 'list', writes: false }

interface Page {
  /** In order. */
  readonly entries: readonly RemoteEntry[]
  /** Where the next page begins; `undefined` on the last. */
  readonly next: string | undefined
}

/** Pages without an entry that are read before a listing is taken to have no end. */
const mostEmptyPages = 1000

/** Pages of ListObjectsV2, each asked for when it is needed. PROTOCOL where keys come out of order or twice, or pages lead nowhere. */
export async function* listObjects(
  target: Target,
  request: ListRequest,
  signal: AbortSignal,
): AsyncGenerator<RemoteEntry> {
  const { errors } = target
  const around = prefixAround(request)
  let last = request.startAfter
  if (around !== undefined && (await hasMore(target, around, request.startAfter, signal))) {
    yield { type: 'prefix', prefix: around }
  }
  let token: string | undefined
  let emptyPages = 0
  do {
    const page = await onePage(target, request, token, signal)
    for (const entry of page.entries) {
      const name = nameOf(entry)
      // Asked for already: some services list it here again, others do not.
      if (entry.type === 'prefix' && name === around) continue
      if (!name.startsWith(request.prefix) || (last !== '' && compareKeys(name, last) <= 0)) {
        throw protocolError(errors, purpose, `got ${shown(name)} after ${shown(last)}`)
      }
      last = name
      yield entry
      signal.throwIfAborted()
    }
    emptyPages = page.entries.length === 0 ? emptyPages + 1 : 0
    if (emptyPages > mostEmptyPages || (page.next !== undefined && page.next === token)) {
      throw protocolError(errors, purpose, 'goes on without getting anywhere')
    }
    token = page.next
  } while (token !== undefined)
}

function nameOf(entry: RemoteEntry): string {
  return entry.type === 'object' ? entry.key : entry.prefix
}

/** The prefix that the listing begins in the middle of, or at. */
function prefixAround({ prefix, delimiter, startAfter }: ListRequest): string | undefined {
  if (delimiter === '' || !startAfter.startsWith(prefix)) return undefined
  const at = startAfter.indexOf(delimiter, prefix.length)
  return at < 0 ? undefined : startAfter.slice(0, at + delimiter.length)
}

/** Ceph goes on behind a prefix that `start-after` lies in, Amazon does not: so it is asked whether there is more in it. */
async function hasMore(target: Target, prefix: string, startAfter: string, signal: AbortSignal): Promise<boolean> {
  const page = await onePage(target, { prefix, delimiter: '', startAfter }, undefined, signal, 1)
  return page.entries.length > 0
}

async function onePage(
  target: Target,
  { prefix, delimiter, startAfter }: ListRequest,
  token: string | undefined,
  signal: AbortSignal,
  most?: number,
): Promise<Page> {
  const { sdk, bucket, errors } = target
  const command = new sdk.ListObjectsV2Command({
    Bucket: bucket,
    EncodingType: 'url',
    ...(prefix === '' ? {} : { Prefix: prefix }),
    ...(delimiter === '' ? {} : { Delimiter: delimiter }),
    ...(startAfter === '' ? {} : { StartAfter: startAfter }),
    ...(token === undefined ? {} : { ContinuationToken: token }),
    ...(most === undefined ? {} : { MaxKeys: most }),
  })
  const asking = { ...purpose, speaks: (_answer: unknown, body: string) => isListing(body) }
  const { output, begins } = await call(target, command, asking, signal)
  if (!isListing(begins) || output.IsTruncated === undefined) {
    throw notProvider(errors, purpose, 'was answered with something that is no listing')
  }
  // That of an access point is listed under the name of its bucket.
  const isAlias = bucket.startsWith('arn:') || bucket.endsWith('-s3alias')
  if (output.Name !== undefined && output.Name !== bucket && !isAlias) {
    throw notProvider(errors, purpose, `was answered with a listing of ${shown(output.Name)}`)
  }
  if (output.IsTruncated && !output.NextContinuationToken) {
    throw protocolError(errors, purpose, 'is cut short without saying where it goes on')
  }
  const isEncoded = output.EncodingType === 'url'
  const objects = (output.Contents ?? []).map(object => entryOf(target, object, isEncoded))
  const prefixes = (output.CommonPrefixes ?? []).map(each => prefixEntry(target, each.Prefix, isEncoded))
  return { entries: merged(objects, prefixes), next: output.IsTruncated ? output.NextContinuationToken : undefined }
}

function isListing(body: string): boolean {
  return /<ListBucketResult[\s>/]/.test(body)
}

/** Objects and prefixes come apart, each in order. What is out of order stays so, and is found by the reader. */
function merged(objects: readonly RemoteEntry[], prefixes: readonly RemoteEntry[]): RemoteEntry[] {
  const entries: RemoteEntry[] = []
  let at = 0
  for (const object of objects) {
    for (
      let prefix = prefixes[at];
      prefix !== undefined && compareKeys(nameOf(prefix), nameOf(object)) < 0;
      prefix = prefixes[++at]
    ) {
      entries.push(prefix)
    }
    entries.push(object)
  }
  entries.push(...prefixes.slice(at))
  return entries
}

function entryOf(target: Target, object: _Object, isEncoded: boolean): RemoteEntry {
  const { Key, Size, LastModified, ETag, StorageClass } = object
  const isSized = Size !== undefined && Number.isSafeInteger(Size) && Size >= 0
  if (Key === undefined || !isSized || LastModified === undefined || Number.isNaN(LastModified.getTime())) {
    throw protocolError(target.errors, purpose, 'has an entry without key, size or date')
  }
  const etag = etagOf(ETag)
  return {
    type: 'object',
    key: decoded(target, Key, isEncoded),
    size: Size,
    modifiedAt: LastModified,
    etag,
    token: etag,
    // An ETag alone does not say whether it is a digest: what tells is in the headers of a HEAD.
    attested: {},
    ...(StorageClass === undefined ? {} : { storageClass: StorageClass }),
  }
}

function prefixEntry(target: Target, prefix: string | undefined, isEncoded: boolean): RemoteEntry {
  if (prefix === undefined) throw protocolError(target.errors, purpose, 'has a prefix without a name')
  return { type: 'prefix', prefix: decoded(target, prefix, isEncoded) }
}

/** As in a form: `+` is a blank, a plus sign is `%2B`. */
function decoded(target: Target, text: string, isEncoded: boolean): string {
  if (!isEncoded) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw protocolError(target.errors, purpose, `has the key ${shown(text)}, which is not encoded as announced`)
  }
}
