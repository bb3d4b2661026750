import { type Attributes, attributesOf } from '../core/attributes.ts'
import type { Recognised } from '../core/entry.ts'
import type { RemoteObject } from '../core/provider.ts'
import { type Version, versionTime } from '../core/version.ts'
import type { CachedBody, WriteRow } from '../journal/contract.ts'
import type { ObjectInfo } from './types.ts'

export function infoOfLocal(key: string, row: WriteRow | CachedBody): ObjectInfo {
  const { version, size, md5, crc32c, attributes } = row
  return { ...attributesIn(attributes), key, version, size, etag: md5, crc32c, modifiedAt: timeOf(version) }
}

export function infoOfRemote(object: RemoteObject, recognised: Recognised): ObjectInfo {
  const { key, size } = object
  const common = { ...attributesIn(attributesOf(object)), key, size, version: recognised.version }
  if (recognised.whose === 'ours') {
    const { etag, crc32c } = recognised.entry
    return { ...common, etag, crc32c, modifiedAt: timeOf(recognised.version) }
  }
  const { crc32c, md5 } = object.attested
  const etag = object.etag ?? md5 ?? crc32c ?? object.token
  return { ...common, etag, modifiedAt: object.modifiedAt, ...(crc32c === undefined ? {} : { crc32c }) }
}

/** Only what is public: rows may carry more. */
function attributesIn(attributes: Attributes): Attributes {
  const { contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage, metadata } = attributes
  return {
    contentType,
    metadata,
    ...(cacheControl === undefined ? {} : { cacheControl }),
    ...(contentDisposition === undefined ? {} : { contentDisposition }),
    ...(contentEncoding === undefined ? {} : { contentEncoding }),
    ...(contentLanguage === undefined ? {} : { contentLanguage }),
  }
}

function timeOf(version: Version): Date {
  return new Date(versionTime(version))
}
