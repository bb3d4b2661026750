import type { BlobSASPermissions, BlobServiceClient, SASProtocol, UserDelegationKey } from '@azure/storage-blob'
import type { SignedRequest, SignRequest } from '../../core/provider.ts'
import type { Purpose } from './errors.ts'
import { call, proven, type Target } from './target.ts'

/** Makes signed URLs, or says why it cannot. */
export type Signer = (request: SignRequest, signal: AbortSignal) => Promise<SignedRequest>

/** How a client got in decides what it can sign with. */
export function canSign(service: BlobServiceClient): boolean {
  return hasKey(service) || hasToken(service)
}

function hasKey({ credential }: BlobServiceClient): boolean {
  return 'accountName' in credential
}

function hasToken({ credential }: BlobServiceClient): boolean {
  return 'getToken' in credential
}

/**
 * A SAS for one blob. With an account key it is made here, and nothing is sent. With a token credential the service makes a user
 * delegation key, which is asked for when there is none that lasts long enough, and kept in memory: it is good for 7 days at most, and
 * so is what is signed with it; `expiresAt` says the truth. `quiet` is the service client that asks.
 */
export function signerOf(target: Target, service: BlobServiceClient, quiet: () => BlobServiceClient): Signer {
  let kept: UserDelegationKey | undefined

  async function delegationKey(expiresAt: Date, signal: AbortSignal): Promise<UserDelegationKey> {
    // Seconds are all that a SAS has; a key that ends in the same second will do.
    if (kept !== undefined && kept.signedExpiresOn.getTime() >= Math.floor(expiresAt.getTime() / 1000) * 1000)
      return kept
    const purpose: Purpose = { call: 'sign', effect: 'none' }
    const now = Date.now()
    const [from, to] = [new Date(now - 60_000), new Date(now + weekMs - 60_000)]
    const answer = await call(target, purpose, signal, abortSignal =>
      quiet().getUserDelegationKey(from, to, { abortSignal }),
    )
    kept = proven(target, purpose, answer)
    return kept
  }

  return async (request, signal) => {
    signal.throwIfAborted()
    if (!canSign(service)) {
      throw target.errors.unsupported('sign: that needs the account key, or a token credential, not a SAS', request.key)
    }
    const wanted = new Date(Math.floor(Date.now() / 1000) * 1000 + request.expiresInSeconds * 1000)
    const blob = target.blob(request.key)
    if (hasKey(service)) return signed(await blob.generateSasUrl(optionsOf(request, wanted, blob.url)), request, wanted)
    const key = await delegationKey(wanted, signal)
    const expiresAt = key.signedExpiresOn < wanted ? key.signedExpiresOn : wanted
    return signed(
      await blob.generateUserDelegationSasUrl(optionsOf(request, expiresAt, blob.url), key),
      request,
      expiresAt,
    )
  }
}

const weekMs = 7 * 86_400_000

interface SasOptions {
  readonly permissions: BlobSASPermissions
  readonly expiresOn: Date
  readonly protocol: SASProtocol
  readonly contentType?: string
  readonly contentDisposition?: string
}

function optionsOf(request: SignRequest, expiresOn: Date, url: string): SasOptions {
  const { method, contentType, contentDisposition } = request
  return {
    permissions: permissionsOf(request),
    expiresOn,
    protocol: (url.startsWith('https:') ? 'https' : 'https,http') as SASProtocol,
    ...(method === 'GET' && contentType !== undefined ? { contentType } : {}),
    ...(method === 'GET' && contentDisposition !== undefined ? { contentDisposition } : {}),
  }
}

/** `c` creates and never replaces; `w` is needed to replace. The client only asks for the letters. */
function permissionsOf({ method, createOnly }: SignRequest): BlobSASPermissions {
  const letters = method === 'GET' ? 'r' : createOnly ? 'c' : 'cw'
  return { toString: () => letters } as BlobSASPermissions
}

function signed(url: string, { method, contentType, createOnly }: SignRequest, expiresAt: Date): SignedRequest {
  if (method === 'GET') return { url, headers: {}, expiresAt }
  return {
    url,
    headers: {
      'x-ms-blob-type': 'BlockBlob',
      ...(contentType === undefined ? {} : { 'content-type': contentType }),
      // The permission forbids to replace; with the condition the refusal says why.
      ...(createOnly ? { 'if-none-match': '*' } : {}),
    },
    expiresAt,
  }
}
