import type { S3Client } from '@aws-sdk/client-s3'
import { unlessAborted } from '../../core/abort.ts'
import type { SignedRequest, SignRequest } from '../../core/provider.ts'
import { hasSdk, loadSdk } from '../../core/sdk.ts'
import { plainRequest, type Target } from './call.ts'
import { classify } from './classify.ts'

const presigner = '@aws-sdk/s3-request-presigner'

type Presigner = typeof import('@aws-sdk/s3-request-presigner')
type Presignable = Parameters<Presigner['getSignedUrl']>[1]

/** Signing needs a package of its own. */
export function canSign(): boolean {
  return hasSdk(presigner)
}

/** A URL with the signature in its query. Sends nothing; only the credentials may have to be fetched. */
export async function signUrl(target: Target, request: SignRequest, signal: AbortSignal): Promise<SignedRequest> {
  signal.throwIfAborted()
  const { errors, client, sdk, bucket } = target
  const { method, key, expiresInSeconds: expiresIn, contentType, contentDisposition, createOnly } = request
  if (!canSign()) throw errors.unsupported(`sign requests without ${presigner}: npm install ${presigner}`, key)
  const isCreating = method === 'PUT' && createOnly
  if (isCreating && !target.dialect().createIfAbsent) throw errors.unsupported('put only where nothing is', key)
  const { getSignedUrl } = loadSdk<Presigner>(presigner, 'holdfast/s3')
  const headers: Record<string, string> = {}
  if (method === 'PUT' && contentType !== undefined) headers['content-type'] = contentType
  if (isCreating) headers['if-none-match'] = '*'
  const command =
    method === 'PUT'
      ? new sdk.PutObjectCommand({ Bucket: bucket, Key: key })
      : new sdk.GetObjectCommand({
          Bucket: bucket,
          Key: key,
          ...(contentType === undefined ? {} : { ResponseContentType: contentType }),
          ...(contentDisposition === undefined ? {} : { ResponseContentDisposition: contentDisposition }),
        })
  plainRequest(command, headers)
  try {
    const signingDate = new Date()
    // Types of another release of the SDK than the client's; the classes are the same.
    const signing = getSignedUrl(
      client as S3Client & Parameters<Presigner['getSignedUrl']>[0],
      command as Presignable,
      {
        expiresIn,
        signingDate,
        // Left out by default. Without a type the uploader may send any: one of the SDK's own would be signed, which nobody was told of.
        ...(contentType === undefined ? {} : { signableHeaders: new Set(['content-type']) }),
      },
    )
    const url = await unlessAborted(signing, signal)
    return { url, headers, expiresAt: new Date(signingDate.getTime() + expiresIn * 1000) }
  } catch (error) {
    signal.throwIfAborted()
    throw classify(errors, error, { call: 'sign', key, writes: false })
  }
}
