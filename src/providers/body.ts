import { untilAborted } from '../core/abort.ts'
import { digester } from '../core/digest.ts'
import { HoldfastError, shown } from '../core/errors.ts'
import type { Source } from '../core/source.ts'
import type { ErrorMaker } from './errors.ts'

/**
 * The whole source, chunk by chunk, compared on the way with the size and the digests that it announces: what a service does that
 * checks a body before it stores it. Throws CHECKSUM instead of ending where they differ; what the source throws comes out as ours.
 */
export async function* verified(
  source: Source,
  key: string,
  errors: ErrorMaker,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const digests = digester()
  let size = 0
  try {
    for await (const chunk of untilAborted(source.open(0, source.size), signal)) {
      size += chunk.byteLength
      if (size > source.size) throw errors.digest(key, `more than ${source.size} bytes came`)
      digests.update(chunk)
      yield chunk
    }
  } catch (error) {
    if (error instanceof HoldfastError || (signal.aborted && error === signal.reason)) throw error
    const details = { key, outcome: 'rejected', cause: error } as const
    throw errors.because('UNAVAILABLE', 'SERVER', `the source of ${shown(key)} failed`, details)
  }
  const found = digests.finish()
  if (size !== source.size) throw errors.digest(key, `${size} of ${source.size} bytes came`)
  if (found.crc32c !== source.crc32c) throw errors.digest(key, `CRC32C ${found.crc32c}, announced ${source.crc32c}`)
  if (found.md5 !== source.md5) throw errors.digest(key, `MD5 ${found.md5}, announced ${source.md5}`)
}
