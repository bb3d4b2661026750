import { type Attributes, attributesOf } from '../core/attributes.ts'
import type { Recognised } from '../core/entry.ts'
import { partSizeOf } from '../core/layout.ts'
import type { RemoteObject } from '../core/provider.ts'
import { type Version, versionTime } from '../core/version.ts'
import type { CachedBody, WriteRow } from '../journal/contract.ts'
import type { ObjectInfo } from './types.ts'

export function infoOfLocal(key: string, row: WriteRow | CachedBody): ObjectInfo {
  const { version, size, crc32c, attributes, layout, features } = row
  const info = {
    ...attributesIn(attributes),
    key,
    version,
    size,
    etag: layout.etag,
    crc32c,
    modifiedAt: timeOf(version),
  }
  const parts = partsOf(layout.etag, partSizeOf(layout))
  const said = features?.s3 === undefined ? {} : { features: features.s3, ...tagsOf(tagCount(features.s3.Tagging)) }
  return { ...info, ...parts, ...said }
}

export function infoOfRemote(object: RemoteObject, recognised: Recognised): ObjectInfo {
  const { key, size, features } = object
  const { checksum, ...attributes } = attributesIn(attributesOf(object))
  const more = { ...(features === undefined ? {} : { features }), ...tagsOf(object.tagCount) }
  const common = { ...attributes, key, size, version: recognised.version, ...more }
  if (recognised.whose === 'ours') {
    const { etag, crc32c, partSize } = recognised.entry
    const kept = checksum === undefined ? {} : { checksum }
    return { ...common, etag, crc32c, modifiedAt: timeOf(recognised.version), ...kept, ...partsOf(etag, partSize) }
  }
  // One in the metadata may have come along with a copy, or stayed when other bytes came: of these bytes the service alone speaks.
  const said = object.checksum === undefined ? {} : { checksum: object.checksum }
  const { crc32c, md5 } = object.attested
  const etag = object.etag ?? md5 ?? crc32c ?? object.token
  return { ...common, ...said, etag, modifiedAt: object.modifiedAt, ...(crc32c === undefined ? {} : { crc32c }) }
}

/** Only what is public: rows may carry more. */
function attributesIn(attributes: Attributes): Attributes {
  const { contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage, metadata, checksum } =
    attributes
  return {
    contentType,
    metadata,
    ...(cacheControl === undefined ? {} : { cacheControl }),
    ...(contentDisposition === undefined ? {} : { contentDisposition }),
    ...(contentEncoding === undefined ? {} : { contentEncoding }),
    ...(contentLanguage === undefined ? {} : { contentLanguage }),
    ...(checksum === undefined ? {} : { checksum }),
  }
}

function partsOf(etag: string, partSize: number | undefined): Pick<ObjectInfo, 'parts'> {
  if (partSize === undefined) return {}
  return { parts: { count: Number(etag.slice(etag.indexOf('-') + 1)), bytes: partSize } }
}

function tagsOf(count: number | undefined): Pick<ObjectInfo, 'tagCount'> {
  return count === undefined || count === 0 ? {} : { tagCount: count }
}

/** Of tags as in a query. */
function tagCount(tagging = ''): number {
  return tagging.split('&').filter(tag => tag !== '').length
}

function timeOf(version: Version): Date {
  return new Date(versionTime(version))
}
