import type {
  _Object,
  ListObjectsCommandInput,
  ListObjectsCommandOutput,
  ListObjectsV2CommandInput,
  ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3'
import type { ListEntry } from '../index.ts'
import { wholeSeconds } from './conditions.ts'
import { defined, quoted } from './described.ts'
import { invalidArgument, metadata } from './errors.ts'
import type { Call } from './handler.ts'
import { signalled } from './inputs.ts'
import { readToken, type Start, writeToken } from './token.ts'

const pageLimit = 1000

export async function listObjectsV2(call: Call<ListObjectsV2CommandInput>): Promise<ListObjectsV2CommandOutput> {
  const { ContinuationToken: token, StartAfter: startAfter } = call.input
  const question = questionOf(call)
  const start: Start = isText(token) ? readToken(token) : { after: startAfter ?? '' }
  // What a provider began is not ended with what is on local disk: the app would take it for all.
  const { entries, next } = await pageOf(call, question, start, !isText(token) || start.partial === true)
  return {
    $metadata: metadata(200),
    ...common(question, entries, next),
    KeyCount: entries.length,
    ...defined({
      ContinuationToken: token,
      NextContinuationToken: next === undefined ? undefined : writeToken(next),
      StartAfter: isText(startAfter) ? question.shown(startAfter) : undefined,
    }),
  }
}

export async function listObjects(call: Call<ListObjectsCommandInput>): Promise<ListObjectsCommandOutput> {
  const question = questionOf(call)
  const marker = call.input.Marker ?? ''
  // A marker within a common prefix is behind all of it: it may be one that an earlier page ended with.
  const group = marker === '' ? undefined : commonPrefix(marker, question)
  const start = group === undefined ? { after: marker } : { past: group }
  const { entries, next } = await pageOf(call, question, start, marker === '')
  const last = next === undefined ? undefined : 'past' in next ? next.past : next.after
  return {
    $metadata: metadata(200),
    ...common(question, entries, next),
    Marker: question.shown(marker),
    // S3 gives it with a delimiter only: without one it is the last key of the page.
    ...(last === undefined || question.delimiter === '' ? {} : { NextMarker: question.shown(last) }),
  }
}

/** What both listings ask. */
interface Question {
  readonly bucket: string
  readonly prefix: string
  readonly delimiter: string
  /** Entries on one page. */
  readonly most: number
  readonly isEncoded: boolean
  /** A key, or a part of one, as it is to be answered. */
  shown(text: string): string
}

function questionOf({ bucket, input }: Call<ListObjectsCommandInput>): Question {
  const { Prefix, Delimiter, MaxKeys, EncodingType } = input
  if (isText(EncodingType) && EncodingType !== 'url') {
    throw invalidArgument('encoding-type', EncodingType, 'Invalid Encoding Method specified in Request')
  }
  const isEncoded = EncodingType === 'url'
  return {
    bucket,
    prefix: Prefix ?? '',
    delimiter: Delimiter ?? '',
    most: limitOf(MaxKeys),
    isEncoded,
    shown: text => (isEncoded ? urlEncoded(text) : text),
  }
}

function limitOf(given: number | undefined): number {
  if (given === undefined || given === null) return pageLimit
  if (!Number.isInteger(given)) {
    throw invalidArgument('max-keys', given, 'Provided max-keys not an integer or within integer range')
  }
  if (given < 0 || given > 2_147_483_647) {
    throw invalidArgument('max-keys', given, 'Argument max-keys must be an integer between 0 and 2147483647')
  }
  return Math.min(given, pageLimit)
}

/** Objects and common prefixes together in order, at most as many as were asked for; `next`: where there is more. */
interface Page {
  readonly entries: readonly ListEntry[]
  readonly next: Start | undefined
}

async function pageOf(
  call: Call,
  { prefix, delimiter, most }: Question,
  start: Start,
  mayBePartial: boolean,
): Promise<Page> {
  const entries: ListEntry[] = []
  if (most === 0) return { entries, next: undefined }
  const startAfter = 'past' in start ? start.past : start.after
  // With every provider down: what was just written, as for a get. The store tells of it by an event; an answer of S3 has no word for it.
  const whenUnreachable = mayBePartial ? call.settings.listWhenDown : 'fail'
  const asked = { prefix, delimiter, startAfter, whenUnreachable, ...signalled(call) }
  for await (const entry of call.store.list(asked)) {
    const name = entry.type === 'prefix' ? entry.prefix : entry.key
    if ('past' in start && name.startsWith(start.past)) continue
    const last = entries.at(-1)
    if (entries.length === most && last !== undefined) {
      const place = last.type === 'prefix' ? { past: last.prefix } : { after: last.key }
      return { entries, next: last.partial === true ? { ...place, partial: true } : place }
    }
    entries.push(entry)
  }
  return { entries, next: undefined }
}

function common(
  { bucket, prefix, delimiter, most, isEncoded, shown }: Question,
  entries: readonly ListEntry[],
  next: Start | undefined,
) {
  const objects = entries.flatMap(entry => (entry.type === 'object' ? [objectOf(entry, shown)] : []))
  const prefixes = entries.flatMap(entry => (entry.type === 'prefix' ? [{ Prefix: shown(entry.prefix) }] : []))
  return {
    Name: bucket,
    Prefix: shown(prefix),
    ...(delimiter === '' ? {} : { Delimiter: shown(delimiter) }),
    MaxKeys: most,
    ...(isEncoded ? { EncodingType: 'url' as const } : {}),
    IsTruncated: next !== undefined,
    ...(objects.length === 0 ? {} : { Contents: objects }),
    ...(prefixes.length === 0 ? {} : { CommonPrefixes: prefixes }),
  }
}

function objectOf(entry: Extract<ListEntry, { type: 'object' }>, shown: (text: string) => string): _Object {
  const { key, size, modifiedAt, etag, storageClass = 'STANDARD' } = entry
  return {
    Key: shown(key),
    LastModified: wholeSeconds(modifiedAt),
    ...(etag === undefined ? {} : { ETag: quoted(etag) }),
    Size: size,
    StorageClass: storageClass as NonNullable<_Object['StorageClass']>,
  }
}

function commonPrefix(key: string, { prefix, delimiter }: Question): string | undefined {
  if (delimiter === '' || !key.startsWith(prefix)) return undefined
  const at = key.indexOf(delimiter, prefix.length)
  return at < 0 ? undefined : key.slice(0, at + delimiter.length)
}

/** As S3 does: like a form, but slashes stay. */
function urlEncoded(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replace(/[!'()~]/g, character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')
    .replaceAll('%2F', '/')
}

function isText(value: string | undefined): value is string {
  return value !== undefined && value !== null && value !== ''
}
