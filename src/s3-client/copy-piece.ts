import type { CopyObjectCommandInput, UploadPartCopyCommandInput } from '@aws-sdk/client-s3'
import { HoldfastError } from '../index.ts'
import { checkSource } from './copy.ts'
import { openSource, type Source } from './copy-from.ts'
import { demandSource } from './copy-source.ts'
import { invalidArgument } from './errors.ts'
import type { Call } from './handler.ts'

/** A source, and how much of it is copied. */
export interface Piece extends Source {
  /** Bytes that `body` has. */
  readonly bytes: number
}

/**
 * What UploadPartCopy copies: all of the source or a range of it, of one version. NoSuchKey, PreconditionFailed, and InvalidArgument for a range that the
 * source does not have.
 */
export async function openPiece(call: Call<UploadPartCopyCommandInput>): Promise<Piece> {
  const { input } = call
  const range = rangeOf(input.CopySourceRange)
  const source = await openSource(call, demandSource(input.CopySource), range).catch((error: unknown) => {
    throw isPastTheEnd(error) ? notOfSource(input.CopySourceRange) : error
  })
  try {
    checkSource(input as CopyObjectCommandInput, source)
    if (range !== undefined && range.end > source.info.size) throw notOfSource(input.CopySourceRange, source.info.size)
  } catch (error) {
    source.close()
    throw error
  }
  return { ...source, bytes: range === undefined ? source.info.size : range.end - range.start }
}

/** Stricter than the Range of a read: S3 wants both ends. */
function rangeOf(given: string | undefined): { readonly start: number; readonly end: number } | undefined {
  if (given === undefined || given === null) return undefined
  const [, first, last] = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(given) ?? []
  if (first === undefined || last === undefined || Number(first) > Number(last)) {
    const form =
      'of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy'
    throw invalidArgument('x-amz-copy-source-range', given, `The x-amz-copy-source-range value must be ${form}`)
  }
  return { start: Number(first), end: Number(last) + 1 }
}

function isPastTheEnd(error: unknown): boolean {
  if (error instanceof HoldfastError) return error.field === 'range'
  return error instanceof Error && error.name === 'InvalidRange'
}

function notOfSource(given: string | undefined, size?: number): Error {
  const of = size === undefined ? '' : ` of size: ${size}`
  return invalidArgument('x-amz-copy-source-range', given, `Range specified is not valid for source object${of}`)
}
