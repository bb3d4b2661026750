import { type Holdfast, openHoldfast } from 'holdfast'
import { gcs } from 'holdfast/gcs'
import { s3 } from 'holdfast/s3'

/** The store of the examples, from environment variables; without endpoints it goes to the real services. */
export function openStore(): Promise<Holdfast> {
  const env = process.env
  return openHoldfast({
    directory: env['DIRECTORY'] ?? '/var/lib/photos',
    primary: s3({
      bucket: env['S3_BUCKET'] ?? 'photos',
      region: env['S3_REGION'] ?? 'eu-central-1',
      ...(env['S3_ENDPOINT'] === undefined ? {} : { endpoint: env['S3_ENDPOINT'] }),
    }),
    secondary: gcs({
      bucket: env['GCS_BUCKET'] ?? 'photos-copy',
      ...(env['GCS_ENDPOINT'] === undefined ? {} : { apiEndpoint: env['GCS_ENDPOINT'], projectId: 'local' }),
    }),
  })
}
