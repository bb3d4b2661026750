import { packedName } from '../../core/attributes.ts'
import type { KeyRefusal, Limits } from '../../core/provider.ts'
import { refuseAnywhere } from '../keys.ts'
import type { Dialect } from './dialect.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html: bytes of UTF-8. */
const keyBytes = 1024

/**
 * S3 takes nearly every key. Refused are characters that its listings, which are XML 1.0, cannot carry, and what URLs do not leave as
 * it is: "." and ".." segments, which gateways fold. A leading, trailing or double slash is part of the name.
 */
export function refuseS3Key(key: string, pathStyle: boolean): KeyRefusal | undefined {
  const anywhere = refuseAnywhere(key, keyBytes)
  if (anywhere !== undefined) return anywhere
  const index = key.search(/[\u0000-\u001f\ufffe\uffff]/)
  if (index >= 0) {
    const unit = key.charCodeAt(index).toString(16).toUpperCase().padStart(4, '0')
    return { rule: 'control', index, message: `has the character U+${unit} at index ${index}` }
  }
  const segment = key.split('/').find(each => each === '.' || each === '..')
  if (segment !== undefined) {
    const at = `/${key}/`.indexOf(`/${segment}/`)
    return { rule: 'segment', index: at, message: `has a ${JSON.stringify(segment)} segment at index ${at}` }
  }
  // With the bucket in the host name, /soap is the old SOAP interface: same page of the user guide.
  if (key === 'soap' && !pathStyle)
    return { rule: 'reserved', message: 'is "soap", which S3 takes for its SOAP interface' }
  return undefined
}

/** `dialect` is asked each time: it says more once `learn` has run, and then nothing is held less than before. */
export function s3Limits(dialect: () => Dialect): Limits {
  return {
    // Of Amazon since 2025-12: 50 TB; of most others 5 TiB, the number that all take.
    objectBytes: 5 * 2 ** 40,
    keyBytes,
    metadata: {
      // https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html: names and values together.
      bytes: 2048,
      holds(name, value) {
        if (name === packedName) return isPlain(value)
        const isHeld = dialect().quirks.underscore === 'kept' ? /^[a-z0-9][a-z0-9_-]*$/ : /^[a-z0-9][a-z0-9-]*$/
        return isHeld.test(name) && isPlain(value)
      },
    },
  }
}

/**
 * Values that every service gives back as they came: printable ASCII, not empty, no blanks at the edges (HTTP drops them) nor two
 * together (signing folds them), nothing that S3 takes for an encoded word.
 */
function isPlain(value: string): boolean {
  return /^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(value) && !value.includes('=?')
}
