import { checksummer, type KeptChecksum } from '../../core/checksum.ts'
import { digester, hex32, hexToBase64 } from '../../core/digest.ts'
import { HoldfastError } from '../../core/errors.ts'
import { etagOfParts, type Layout, runsOf } from '../../core/layout.ts'
import type { UploadChecksum, UploadedPart } from '../../journal/upload-contract.ts'
import { joinCrc32c } from '../../stage/crc.ts'
import type { Stage } from '../../stage/stage.ts'

/** What is known of an object once its parts were put in order and read. */
export interface Whole {
  /** Bytes. */
  readonly size: number
  readonly crc32c: string
  readonly md5: string
  /** `etag`: the MD5 of the parts' MD5s, and their number. */
  readonly layout: Layout
  readonly checksum: KeptChecksum | undefined
}

/** What follows from the parts' own digests, before a byte is read. */
export function outlineOf(parts: readonly UploadedPart[]): Pick<Whole, 'size' | 'crc32c' | 'layout'> {
  let crc = 0
  let size = 0
  for (const part of parts) {
    crc = joinCrc32c(crc, Number.parseInt(part.crc32c, 16), part.size)
    size += part.size
  }
  return {
    size,
    crc32c: hex32(crc),
    layout: { etag: etagOfParts(parts.map(({ md5 }) => md5)), parts: runsOf(parts.map(part => part.size)) },
  }
}

/**
 * Reads all parts once, in order: MD5s cannot be joined, and neither can all checksums. Each part is compared with its CRC32C on the way. CORRUPT,
 * field `body`, of the part that is not what was acknowledged any more. A chunk at a time, so that others get their turn in between.
 */
export async function readWhole(
  stage: Stage,
  parts: readonly UploadedPart[],
  kind: UploadChecksum | undefined,
  signal: AbortSignal,
): Promise<Whole> {
  const outline = outlineOf(parts)
  const digests = digester()
  const needsBytes = kind?.type === 'FULL_OBJECT' && kind.algorithm !== 'CRC32C'
  const sum = needsBytes ? checksummer(kind.algorithm) : undefined
  for (const part of parts) {
    const source = stage.source({ in: 'parts', parts: [part] }, part.size, part)
    try {
      for await (const chunk of source.open(0, part.size)) {
        signal.throwIfAborted()
        digests.update(chunk)
        sum?.update(chunk)
      }
    } catch (error) {
      throw ofPart(part.number, error)
    }
  }
  const value = sum?.digest().toString('base64') ?? hexToBase64(outline.crc32c)
  return {
    ...outline,
    ...digests.finish(),
    checksum:
      kind?.type === 'COMPOSITE'
        ? compositeOf(kind, parts)
        : kind === undefined
          ? undefined
          : { algorithm: kind.algorithm, value },
  }
}

/** The checksum of the parts' checksums, and their number. */
function compositeOf({ algorithm }: UploadChecksum, parts: readonly UploadedPart[]): KeptChecksum {
  const sum = checksummer(algorithm)
  for (const { number, checksum } of parts) {
    if (checksum?.algorithm !== algorithm)
      throw new HoldfastError('CORRUPT', `part ${number} has no ${algorithm}: the journal row of it is damaged`, {
        field: 'journal',
        rule: 'damaged',
        outcome: 'rejected',
      })
    sum.update(Buffer.from(checksum.value, 'base64'))
  }
  return { algorithm, value: `${sum.digest().toString('base64')}-${parts.length}` }
}

function ofPart(number: number, error: unknown): unknown {
  if (!(error instanceof HoldfastError) || error.code !== 'CORRUPT') return error
  const { field, rule, reason } = error
  return new HoldfastError('CORRUPT', `part ${number}: ${error.message}; upload it again`, {
    ...(field === undefined ? {} : { field }),
    ...(rule === undefined ? {} : { rule }),
    ...(reason === undefined ? {} : { reason }),
    outcome: 'rejected',
    retryable: false,
    cause: error,
  })
}
