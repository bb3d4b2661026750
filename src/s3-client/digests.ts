import type { PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3'
import { type ChecksumAlgorithm, checksumAlgorithms, isDigest } from '../core/checksum.ts'
import { HoldfastError, type PutOptions } from '../index.ts'
import { s3Error } from './errors.ts'

type Digests = Pick<PutObjectCommandInput, 'ContentMD5' | 'ChecksumAlgorithm' | `Checksum${ChecksumAlgorithm}`>

/** The MD5 in hex, of what the app gives as base64. InvalidDigest for what is none. */
export function md5Of({ ContentMD5 }: Digests): { readonly md5?: string } {
  if (ContentMD5 === undefined || ContentMD5 === null) return {}
  const bytes = Buffer.from(ContentMD5, 'base64')
  if (bytes.byteLength !== 16 || bytes.toString('base64') !== ContentMD5) {
    throw s3Error('InvalidDigest', 400, 'The Content-MD5 you specified was invalid.', { 'Content-MD5': ContentMD5 })
  }
  return { md5: bytes.toString('hex') }
}

/**
 * The checksum that the plain client would have sent, or, where it sends none, the one that S3 then makes itself. With the value to compare where
 * the app has one. InvalidRequest for two of them, for what is no checksum, and for one that is not of the algorithm that is named.
 */
export async function checksumOf(
  input: Digests,
  config: Pick<S3Client['config'], 'requestChecksumCalculation'>,
): Promise<NonNullable<PutOptions['checksum']>> {
  const given = checksumAlgorithms.filter(each => typeof input[`Checksum${each}`] === 'string')
  const [algorithm] = given
  const named = input.ChecksumAlgorithm as ChecksumAlgorithm | undefined
  if (algorithm === undefined) return { algorithm: named ?? (await usual(config)) }
  if (given.length > 1) {
    throw invalidRequest('Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.')
  }
  const value = input[`Checksum${algorithm}`] as string
  if (!isDigest(algorithm, value)) {
    throw invalidRequest(`Value for x-amz-checksum-${algorithm.toLowerCase()} header is invalid.`)
  }
  if (named !== undefined && named !== algorithm) {
    throw invalidRequest('Value for x-amz-sdk-checksum-algorithm header is invalid.')
  }
  return { algorithm, value }
}

/** Since the end of 2024: the SDK's default is CRC32; what comes without one gets CRC64NVME from S3. */
async function usual(config: Pick<S3Client['config'], 'requestChecksumCalculation'>): Promise<ChecksumAlgorithm> {
  return (await config.requestChecksumCalculation?.()) === 'WHEN_SUPPORTED' ? 'CRC32' : 'CRC64NVME'
}

/** What S3 says of a body that is not what was announced; any other error as it is. */
export function mismatchAs(error: unknown, algorithm: string): unknown {
  if (!(error instanceof HoldfastError) || error.code !== 'CHECKSUM') return error
  if (error.field === 'size') {
    const message = 'You did not provide the number of bytes specified by the Content-Length HTTP header'
    return s3Error('IncompleteBody', 400, message, { cause: error })
  }
  const message =
    error.field === 'checksum'
      ? `The ${algorithm} you specified did not match the calculated checksum.`
      : 'The Content-MD5 you specified did not match what we received.'
  return s3Error('BadDigest', 400, message, { cause: error })
}

function invalidRequest(message: string): Error {
  return s3Error('InvalidRequest', 400, message)
}
