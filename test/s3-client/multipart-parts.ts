import { createHash, randomBytes } from 'node:crypto'
import {
  CompleteMultipartUploadCommand,
  type CompletedPart,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  GetObjectCommand,
  type S3Client,
  UploadPartCommand,
  type UploadPartCommandInput,
} from '@aws-sdk/client-s3'
import type { Provider } from '../../src/core/provider.ts'
import { s3 } from '../../src/providers/s3.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'

export const Bucket = 'photos'
export const partBytes = 5 * 1024 ** 2
export const [first, second, last] = [randomBytes(partBytes), randomBytes(partBytes), randomBytes(1_000)] as const

export function providerOf(cloud: Pick<LocalCloud, 'endpoint' | 'credentials'>, name: string): Provider {
  return s3({
    bucket: Bucket,
    name,
    endpoint: cloud.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: cloud.credentials.id, secretAccessKey: cloud.credentials.secret },
  })
}

export const md5 = (data: Uint8Array): string => createHash('md5').update(data).digest('hex')

/** The ETag of an object in these parts, quoted. */
export function etagOf(...parts: readonly Uint8Array[]): string {
  const whole = createHash('md5')
  for (const part of parts) whole.update(createHash('md5').update(part).digest())
  return `"${whole.digest('hex')}-${parts.length}"`
}

export async function begin(
  client: S3Client,
  Key: string,
  more: Partial<CreateMultipartUploadCommandInput> = {},
): Promise<string> {
  const { UploadId = '' } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }))
  return UploadId
}

/** Uploads them as parts 1, 2, … and answers what Complete wants to know of them. */
export async function sendParts(
  client: S3Client,
  Key: string,
  UploadId: string,
  bodies: readonly Uint8Array[],
  more: Partial<UploadPartCommandInput> = {},
): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = []
  for (const [index, Body] of bodies.entries()) {
    const PartNumber = index + 1
    const { ETag } = await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ...more }))
    parts.push({ PartNumber, ETag })
  }
  return parts
}

export function complete(
  client: S3Client,
  Key: string,
  UploadId: string,
  Parts: readonly CompletedPart[] | undefined,
  more: object = {},
) {
  return client.send(
    new CompleteMultipartUploadCommand({
      Bucket,
      Key,
      UploadId,
      ...(Parts === undefined ? {} : { MultipartUpload: { Parts: [...Parts] } }),
      ...more,
    }),
  )
}

export async function bytesOf(client: S3Client, Key: string, more: object = {}): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, ...more }))
  return Buffer.from((await Body?.transformToByteArray()) ?? [])
}
