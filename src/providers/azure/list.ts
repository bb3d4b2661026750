import type {
  BlobItem,
  BlobPrefix,
  ContainerListBlobFlatSegmentResponse,
  ContainerListBlobHierarchySegmentResponse,
} from '@azure/storage-blob'
import type { HoldfastError } from '../../core/errors.ts'
import { entryName } from '../../core/entry.ts'
import { compareKeys } from '../../core/key.ts'
import type { ListRequest, RemoteEntry } from '../../core/provider.ts'
import { notProvider, protocolError, type Purpose } from './errors.ts'
import { inByteOrder } from './order.ts'
import { hexOf } from './object.ts'
import { call, proven, type Target, timeIn, tokenOf } from './target.ts'

const purpose: Purpose = { call: 'list', effect: 'none' }

interface Item {
  readonly name: string
  readonly entry: RemoteEntry
}

/**
 * List Blobs, page by page, each when it is asked for. The service cannot begin in the middle: what lies before `startAfter` is listed
 * too, and skipped. The order is checked; a container that lists in another one (one with a hierarchical namespace) is PROTOCOL.
 */
export async function* listBlobs(
  target: Target,
  request: ListRequest,
  signal: AbortSignal,
): AsyncIterable<RemoteEntry> {
  const { prefix, delimiter, startAfter } = request
  let last: string | undefined
  for await (const { name, entry } of inByteOrder(itemsOf(target, prefix, delimiter, signal))) {
    signal.throwIfAborted()
    if (last !== undefined && compareKeys(last, name) >= 0) {
      throw protocolError(
        target.errors,
        purpose,
        `came out of order: ${JSON.stringify(name)} after ${JSON.stringify(last)}; has the account a hierarchical namespace?`,
      )
    }
    if (!name.startsWith(prefix)) throw protocolError(target.errors, purpose, 'has a key outside of its prefix')
    last = name
    if (await isAfter(target, entry, startAfter, signal)) {
      yield entry
      signal.throwIfAborted()
    }
  }
}

async function isAfter(target: Target, entry: RemoteEntry, startAfter: string, signal: AbortSignal): Promise<boolean> {
  if (startAfter === '') return true
  const name = entry.type === 'object' ? entry.key : entry.prefix
  if (compareKeys(name, startAfter) > 0) return true
  if (entry.type === 'object' || !startAfter.startsWith(name)) return false
  // Some of what is folded into the prefix lies before, perhaps some after.
  const under = listBlobs(target, { prefix: name, delimiter: '', startAfter }, signal)
  for await (const _found of under) return true
  return false
}

/** In the order of UTF-16 units within each page, which is the service's across pages; the client gives blobs and prefixes apart. */
async function* itemsOf(target: Target, prefix: string, delimiter: string, signal: AbortSignal): AsyncIterable<Item> {
  let folded: string | undefined
  for await (const page of pagesOf(target, prefix, delimiter, signal)) {
    const { blobItems, blobPrefixes = [] } = page.segment as {
      readonly blobItems: readonly BlobItem[]
      readonly blobPrefixes?: readonly BlobPrefix[]
    }
    const items = [...blobItems.filter(isObject).map(objectItem), ...blobPrefixes.map(prefixItem)]
    if (!items.every(isSound)) throw protocolError(target.errors, purpose, 'has an entry without name, size or date')
    items.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    for (const item of items) {
      // A prefix whose keys go over the end of a page comes with both.
      if (item.entry.type === 'prefix' && item.name === folded) continue
      if (item.entry.type === 'prefix') folded = item.name
      yield item
    }
  }
}

/** Not what is kept of a deleted blob, nor an older state of one. */
function isObject({ deleted, snapshot }: BlobItem): boolean {
  return !deleted && (snapshot ?? '') === ''
}

/** The client reads names, numbers and dates, and looks at none of them. */
function isSound({ name, entry }: Item): boolean {
  if (typeof name !== 'string' || name === '') return false
  if (entry.type === 'prefix') return true
  return Number.isSafeInteger(entry.size) && entry.size >= 0 && timeIn(entry.modifiedAt) !== undefined
}

/** The MD5 may be one that a writer of blocks only claimed: nothing here tells, `head` does. */
function objectItem({ name, properties, metadata }: BlobItem): Item {
  const { contentLength, contentMD5, etag, lastModified } = properties
  const entry = metadata?.[entryName]
  return {
    name,
    entry: {
      type: 'object',
      key: name,
      size: contentLength ?? Number.NaN,
      modifiedAt: lastModified,
      etag: undefined,
      token: tokenOf(etag),
      attested: contentMD5 === undefined ? {} : { md5: hexOf(contentMD5) },
      ...(entry === undefined ? {} : { entry }),
    },
  }
}

function prefixItem({ name }: BlobPrefix): Item {
  return { name, entry: { type: 'prefix', prefix: name } }
}

type Page = ContainerListBlobFlatSegmentResponse | ContainerListBlobHierarchySegmentResponse

async function* pagesOf(target: Target, prefix: string, delimiter: string, signal: AbortSignal): AsyncIterable<Page> {
  const seen = new Set<string>()
  for (let marker: string | undefined; ; ) {
    const page = await call(target, purpose, signal, abortSignal =>
      pageAt(target, { prefix, delimiter, marker, abortSignal }).catch((error: unknown) => orNoListing(target, error)),
    )
    yield provenPage(target, page)
    marker = page.continuationToken
    if (marker === undefined || marker === '') return
    if (seen.has(marker)) throw protocolError(target.errors, purpose, 'goes in circles: a continuation came twice')
    seen.add(marker)
  }
}

interface PageRequest {
  readonly prefix: string
  readonly delimiter: string
  readonly marker: string | undefined
  readonly abortSignal: AbortSignal
}

async function pageAt({ container }: Target, { prefix, delimiter, marker, abortSignal }: PageRequest): Promise<Page> {
  const options = { abortSignal, includeMetadata: true, ...(prefix === '' ? {} : { prefix }) }
  const settings = marker === undefined ? {} : { continuationToken: marker }
  const pages =
    delimiter === ''
      ? container.listBlobsFlat(options).byPage(settings)
      : container.listBlobsByHierarchy(delimiter, options).byPage(settings)
  const { value } = (await pages.next()) as { readonly value: Page }
  return value
}

/** The client trips over a body without a listing in it. */
function orNoListing(target: Target, error: unknown): never {
  if (error instanceof TypeError) throw noListing(target)
  throw error
}

function noListing({ errors }: Target): HoldfastError {
  return notProvider(errors, purpose, 'got an answer that is no listing')
}

/** The client takes an empty body, and any XML, for an empty listing: only one that is a listing, to its end, counts. */
function provenPage(target: Target, page: Page): Page {
  proven(target, purpose, page)
  const { bodyAsText } = page._response
  const isListing = /^\ufeff?\s*(?:<\?xml[^>]*>\s*)?<EnumerationResults[\s>]/.test(bodyAsText)
  if (isListing && /<\/EnumerationResults>\s*$/.test(bodyAsText.slice(-100))) return page
  throw noListing(target)
}
