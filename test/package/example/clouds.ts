import { S3Client } from '@aws-sdk/client-s3'
import { BlobServiceClient } from '@azure/storage-blob'
import { Storage } from '@google-cloud/storage'
import { openHoldfast } from 'holdfast'
import { azure } from 'holdfast/azure'
import { gcs } from 'holdfast/gcs'
import { s3 } from 'holdfast/s3'
import { withHoldfast } from 'holdfast/s3-client'

export const store = await openHoldfast({
  directory: '/srv/store',
  primary: s3({ bucket: 'photos', client: new S3Client({ region: 'eu-central-1' }) }),
  secondary: gcs({ bucket: 'photos', client: new Storage() }),
  mirrors: [azure({ container: 'photos', client: new BlobServiceClient('https://account.blob.core.windows.net') })],
})

export const client: S3Client = withHoldfast(
  new S3Client({ region: 'eu-central-1' }),
  { photos: store },
  { relax: ['ACL'] },
)
