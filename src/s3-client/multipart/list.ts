import type {
  ListMultipartUploadsCommandInput,
  ListMultipartUploadsCommandOutput,
  ListPartsCommandInput,
  ListPartsCommandOutput,
  MultipartUpload,
  Part,
} from '@aws-sdk/client-s3'
import type { Upload, UploadPart } from '../../index.ts'
import { wholeSeconds } from '../conditions.ts'
import { invalidArgument, metadata } from '../errors.ts'
import type { Call } from '../handler.ts'
import { signalled } from '../inputs.ts'
import { checksumFields, openUpload, storageClassOf } from './call.ts'
import { uploadsPage } from './page.ts'

const pageLimit = 1_000

/** Parts of an upload in order of number, a page at a time. NoSuchUpload; InvalidArgument for a limit or a marker that is no number. */
export async function listParts(call: Call<ListPartsCommandInput>): Promise<ListPartsCommandOutput> {
  const { input } = call
  const upload = await openUpload(call)
  const most = limitOf('max-parts', input.MaxParts)
  const marker = input.PartNumberMarker ?? '0'
  if (!/^\d{1,9}$/.test(marker))
    throw invalidArgument(
      'part-number-marker',
      marker,
      'Provided part-number-marker not an integer or within integer range',
    )
  const rest = upload.parts.filter(({ number }) => number > Number(marker))
  const page = rest.slice(0, most)
  return {
    $metadata: metadata(200),
    Bucket: call.bucket,
    Key: upload.key,
    UploadId: upload.id,
    StorageClass: storageClassOf(upload),
    PartNumberMarker: String(Number(marker)),
    NextPartNumberMarker: String(page.at(-1)?.number ?? 0),
    MaxParts: most,
    IsTruncated: most > 0 && page.length < rest.length,
    ...checksumFields(upload),
    ...(page.length === 0 ? {} : { Parts: page.map(part => shownPart(part, upload)) }),
  }
}

function shownPart(part: UploadPart, { checksum }: Upload): Part {
  return {
    PartNumber: part.number,
    LastModified: wholeSeconds(part.uploadedAt),
    ETag: `"${part.etag}"`,
    Size: part.size,
    ...(checksum === undefined || part.checksum === undefined
      ? {}
      : { [`Checksum${part.checksum.algorithm}`]: part.checksum.value }),
  }
}

/** Open uploads in order of key and time, with common prefixes, a page at a time. InvalidArgument for a limit or an encoding that S3 does not know. */
export async function listMultipartUploads(
  call: Call<ListMultipartUploadsCommandInput>,
): Promise<ListMultipartUploadsCommandOutput> {
  const { input } = call
  const { Prefix: prefix = '', Delimiter: delimiter = '', KeyMarker: keyMarker = '', EncodingType } = input
  if (EncodingType !== undefined && EncodingType !== 'url')
    throw invalidArgument('encoding-type', EncodingType, 'Invalid Encoding Method specified in Request')
  const shown = (text: string): string => (EncodingType === 'url' ? urlEncoded(text) : text)
  const most = limitOf('max-uploads', input.MaxUploads)
  // S3 has no use for an upload id without its key.
  const idMarker = keyMarker === '' ? '' : (input.UploadIdMarker ?? '')
  const all = await call.store.uploads.list({ prefix, ...signalled(call) })
  const { uploads, prefixes, next } = uploadsPage(all, { prefix, delimiter, keyMarker, idMarker, most })
  return {
    $metadata: metadata(200),
    Bucket: call.bucket,
    KeyMarker: shown(keyMarker),
    UploadIdMarker: idMarker,
    NextKeyMarker: shown(next?.key ?? ''),
    NextUploadIdMarker: next?.id ?? '',
    Prefix: shown(prefix),
    ...(delimiter === '' ? {} : { Delimiter: shown(delimiter) }),
    MaxUploads: most,
    ...(EncodingType === undefined ? {} : { EncodingType }),
    IsTruncated: next !== undefined,
    ...(uploads.length === 0 ? {} : { Uploads: uploads.map(upload => shownUpload(upload, shown(upload.key))) }),
    ...(prefixes.length === 0 ? {} : { CommonPrefixes: prefixes.map(group => ({ Prefix: shown(group) })) }),
  }
}

function shownUpload(upload: Upload, key: string): MultipartUpload {
  return {
    UploadId: upload.id,
    Key: key,
    Initiated: upload.createdAt,
    StorageClass: storageClassOf(upload),
    ...checksumFields(upload),
  }
}

/** A number between 0 and 1,000; more is 1,000. */
function limitOf(name: string, value: number | undefined): number {
  if (value === undefined) return pageLimit
  if (!Number.isInteger(value) || value < 0 || value > 2_147_483_647)
    throw invalidArgument(name, String(value), `Argument ${name} must be an integer between 0 and 2147483647`)
  return Math.min(value, pageLimit)
}

/** As S3 encodes keys in listings where it is asked to: like a form, but for slashes. */
function urlEncoded(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()~]/g, mark => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')
    .replaceAll('%2F', '/')
}
