import type { Storage } from '@google-cloud/storage'
import { HoldfastError } from '../../core/errors.ts'
import type { SignedRequest, SignRequest } from '../../core/provider.ts'
import { unlessAborted } from '../../core/abort.ts'
import type { ErrorMaker } from '../errors.ts'
import { credentialsError, type Purpose } from './errors.ts'

/**
 * A V4 signed URL for the XML side of the service. Needs a private key (a service account's key file), or a service account that may
 * call `iam.serviceAccounts.signBlob` on itself: then Google signs, which is a request to IAM.
 */
export async function signUrl(
  storage: Storage,
  bucket: string,
  errors: ErrorMaker,
  request: SignRequest,
  signal: AbortSignal,
): Promise<SignedRequest> {
  signal.throwIfAborted()
  const { method, key, expiresInSeconds, contentType, contentDisposition, createOnly } = request
  if (key.split('/').some(segment => segment === '.' || segment === '..')) {
    throw errors.unsupported('sign a URL for a key with a "." or ".." segment: clients fold it into another key', key)
  }
  const accessibleAt = new Date(Math.floor(Date.now() / 1000) * 1000)
  const expiresAt = new Date(accessibleAt.getTime() + expiresInSeconds * 1000)
  const headers: Record<string, string> = {}
  if (method === 'PUT' && contentType !== undefined) headers['content-type'] = contentType
  if (method === 'PUT' && createOnly) headers['x-goog-if-generation-match'] = '0'
  const { 'content-type': type, ...extensionHeaders } = headers
  const signing = storage
    .bucket(bucket)
    .file(key)
    .getSignedUrl({
      version: 'v4',
      action: method === 'GET' ? 'read' : 'write',
      accessibleAt,
      expires: expiresAt,
      extensionHeaders,
      ...(type === undefined ? {} : { contentType: type }),
      ...(method === 'GET' && contentType !== undefined ? { responseType: contentType } : {}),
      ...(method === 'GET' && contentDisposition !== undefined ? { responseDisposition: contentDisposition } : {}),
    })
  try {
    const [url] = await unlessAborted(signing, signal)
    return { url, headers, expiresAt }
  } catch (error) {
    signal.throwIfAborted()
    throw signingError(errors, key, error)
  }
}

function signingError(errors: ErrorMaker, key: string, error: unknown): HoldfastError {
  const purpose: Purpose = { call: 'sign', key, effect: 'none' }
  const found = credentialsError(errors, purpose, error)
  return found.reason === 'CREDENTIALS' || found.reason === 'SERVER'
    ? errors.because(
        'DENIED',
        'CREDENTIALS',
        'sign needs a private key (credentials or keyFilename of a service account), or the right to call ' +
          'iam.serviceAccounts.signBlob for the attached one',
        { key, cause: found },
      )
    : found
}
