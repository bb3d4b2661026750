import type { CompleteMultipartUploadCommandInput, S3ServiceException } from '@aws-sdk/client-s3'
import { runsOf } from '../../core/layout.ts'
import type { PartRun } from '../../index.ts'
import type { Call } from '../handler.ts'
import { sdk } from '../sdk.ts'
import type { ListedPart } from './listed.ts'

type Completing = Call<CompleteMultipartUploadCommandInput>

/** How S3 has it of an upload that ended. */
export function isNoSuchUpload(error: unknown): boolean {
  return error instanceof Error && error.name === 'NoSuchUpload'
}

/** Bytes of the parts of an open upload at the client's own bucket, by number; `undefined` where it has none, or does not let the client list them. */
export async function sizesOfOpen({ plain, input }: Completing): Promise<ReadonlyMap<number, number> | undefined> {
  const { Bucket, Key, UploadId } = input
  const sizes = new Map<number, number>()
  let PartNumberMarker: string | undefined
  try {
    do {
      const { ListPartsCommand } = sdk()
      const page = await plain(new ListPartsCommand({ Bucket, Key, UploadId, PartNumberMarker }))
      for (const { PartNumber, Size } of page.Parts ?? [])
        if (PartNumber !== undefined && Size !== undefined) sizes.set(PartNumber, Size)
      PartNumberMarker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined
    } while (PartNumberMarker !== undefined)
    return sizes
  } catch (error) {
    if (isRefused(error)) return undefined
    throw error
  }
}

/** The service answered, and will answer so again. */
function isRefused(error: unknown): boolean {
  const { $metadata: { httpStatusCode: status = 500 } = {} } = error as Partial<S3ServiceException>
  return status < 500
}

/** The listed parts as runs; `undefined` where one of them has no size. */
export function runsOfListed(
  listed: readonly ListedPart[],
  sizes: ReadonlyMap<number, number>,
): readonly PartRun[] | undefined {
  const known = listed.flatMap(({ number }) => sizes.get(number) ?? [])
  return known.length === listed.length ? runsOf(known) : undefined
}

/**
 * The parts of an object that is complete, asked of it one by one: S3 numbers them anew, from 1. `undefined` where the service does not say (some that
 * speak S3 do not know of parts once an object is complete).
 */
export async function runsOfObject(
  { plain, input }: Completing,
  count: number,
  etag: string,
): Promise<readonly PartRun[] | undefined> {
  const { Bucket, Key } = input
  const { HeadObjectCommand } = sdk()
  const sizes: number[] = []
  let next = 1
  const worker = async (): Promise<void> => {
    while (next <= count) {
      const PartNumber = next++
      const head = await plain(new HeadObjectCommand({ Bucket, Key, PartNumber, IfMatch: etag }))
      sizes[PartNumber - 1] = head.PartsCount === count ? (head.ContentLength ?? Number.NaN) : Number.NaN
      // Once is enough to know that it does not say.
      if (head.PartsCount !== count) return
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(8, count) }, worker))
  } catch (error) {
    if (isRefused(error)) return undefined
    throw error
  }
  return sizes.length === count && sizes.every(Number.isSafeInteger) ? runsOf(sizes) : undefined
}
