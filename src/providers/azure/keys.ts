import type { KeyRefusal, Limits } from '../../core/provider.ts'
import { refuseAnywhere } from '../keys.ts'

const keyBytes = 1024
const mostSegments = 254

/** Put Block List: 50,000 blocks of 4,000 MiB. https://learn.microsoft.com/azure/storage/blobs/scalability-targets */
export const mostBlocks = 50_000
export const mostBlockBytes: number = 4000 * 2 ** 20
/** Put Blob since API version 2019-12-12. */
export const mostSingleShotBytes: number = 5000 * 2 ** 20

const metadataName = /^[a-z_][a-z0-9_]{0,255}$/
/** The client drops the first; the emulator mixes the second with JavaScript's own. */
const lost = ['__proto__', 'constructor']
/** Visible ASCII with single blanks between. */
const metadataValue = /^[!-~]+(?: [!-~]+)*$/

export const azureLimits: Limits = {
  objectBytes: mostBlocks * mostBlockBytes,
  keyBytes,
  metadata: {
    bytes: 8192,
    /**
     * Names are C# identifiers; values are headers. The client drops empty values, trims blanks and removes line
     * breaks. The signature rules fold blanks in a row into one, and `%` was seen to be refused
     * (https://github.com/Azure/azure-storage-cpp/issues/180): such values go encoded, which costs nothing.
     */
    holds: (name, value) =>
      metadataName.test(name) && !lost.includes(name) && metadataValue.test(value) && !value.includes('%'),
  },
}

/**
 * What of https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata the service
 * refuses or changes, and what URLs make of it: `.` and `..` segments are folded on the way, so that `a/../b` would be the object of
 * somebody else. Controls, private use, and what the service's own character checker leaves out
 * (https://azure.github.io/Storage/docs/application-and-user-data/code-samples/supported-character-scrubber/) are refused.
 *
 * The service counts 1,024 characters; here they are bytes, as with the other clouds, so that a key held here is held there.
 */
export function refuseAzureKey(key: string): KeyRefusal | undefined {
  return refuseAnywhere(key, keyBytes) ?? refuseCharacter(key) ?? refuseSegments(key)
}

function refuseCharacter(key: string): KeyRefusal | undefined {
  const index = key.search(/[\p{Cc}\p{Co}\p{Noncharacter_Code_Point}\ufff0-\uffff\\]/u)
  if (index < 0) return undefined
  if (key[index] === '\\') {
    return { rule: 'slash', index, message: `has a backslash at index ${index}, which the service takes for "/"` }
  }
  const point = key.codePointAt(index) ?? 0
  const rule = /\p{Cc}/u.test(String.fromCodePoint(point)) ? 'control' : 'unicode'
  const name = `U+${point.toString(16).toUpperCase().padStart(4, '0')}`
  return { rule, index, message: `has the character ${name} at index ${index}` }
}

function refuseSegments(key: string): KeyRefusal | undefined {
  const segments = key.split('/')
  if (segments.length > mostSegments) {
    return { rule: 'segment', message: `has ${segments.length} segments between slashes, limit ${mostSegments}` }
  }
  let index = 0
  for (const segment of segments) {
    if (segment === '.' || segment === '..') {
      return { rule: 'segment', index, message: `has a "${segment}" segment at index ${index}` }
    }
    index += segment.length
    if (segment.endsWith('.')) {
      return { rule: 'segment', index: index - 1, message: `has a segment that ends in "." at index ${index - 1}` }
    }
    index += 1
  }
  return undefined
}
