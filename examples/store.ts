import { S3Client } from '@aws-sdk/client-s3'
import { type Holdfast, openHoldfast } from 'holdfast'
import { gcs } from 'holdfast/gcs'
import { s3 } from 'holdfast/s3'

const env = process.env

/** The bucket of the examples: the primary's, and the one that the app's S3 code names. */
export const bucket: string = env['S3_BUCKET'] ?? 'photos'

const amazon = {
  region: env['S3_REGION'] ?? 'eu-central-1',
  ...(env['S3_ENDPOINT'] === undefined ? {} : { endpoint: env['S3_ENDPOINT'], forcePathStyle: true }),
}

/** The store of the examples, from environment variables; without endpoints it goes to the real services. */
export function openStore(): Promise<Holdfast> {
  return openHoldfast({
    directory: env['DIRECTORY'] ?? '/var/lib/photos',
    ...(env['MAX_STAGE_BYTES'] === undefined ? {} : { maxStageBytes: Number(env['MAX_STAGE_BYTES']) }),
    primary: s3({ bucket, ...amazon }),
    secondary: gcs({
      bucket: env['GCS_BUCKET'] ?? 'photos-copy',
      ...(env['GCS_ENDPOINT'] === undefined ? {} : { apiEndpoint: env['GCS_ENDPOINT'], projectId: 'local' }),
    }),
  })
}

/** The S3 client that the app had before. */
export function openClient(): S3Client {
  return new S3Client(amazon)
}
