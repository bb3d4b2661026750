import { type ErrorFields, s3Error } from '../errors.ts'

type Refusal =
  | 'BadDigest'
  | 'EntityTooSmall'
  | 'InvalidPart'
  | 'InvalidPartOrder'
  | 'InvalidRequest'
  | 'MalformedXML'
  | 'NoSuchUpload'

/** Status and message, as S3 has them (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html). */
const refusals: Readonly<Record<Refusal, readonly [status: number, message: string]>> = {
  BadDigest: [400, 'The Content-MD5 you specified did not match what we received.'],
  EntityTooSmall: [400, 'Your proposed upload is smaller than the minimum allowed size'],
  InvalidPart: [
    400,
    "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
  ],
  InvalidPartOrder: [400, 'The list of parts was not in ascending order. Parts must be ordered by part number.'],
  InvalidRequest: [400, 'Invalid Request'],
  MalformedXML: [400, 'The XML you provided was not well-formed or did not validate against our published schema'],
  NoSuchUpload: [
    404,
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
  ],
}

/** What S3 refuses about an upload in parts, as the SDK's error. `fields` are those of S3's error document. */
export function refused(code: Refusal, fields: ErrorFields = {}, message?: string): Error {
  const [status, usual] = refusals[code]
  return s3Error(code, status, message ?? usual, fields)
}
