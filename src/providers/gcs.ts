import type { Storage } from '@google-cloud/storage'
import type { Capabilities, Provider } from '../core/provider.ts'
import { loadSdk } from '../core/sdk.ts'
import { carriedSecrets } from './carried.ts'
import { checkEndpoint, type EndpointRules } from './endpoint.ts'
import { errorMaker } from './errors.ts'
import { classifyGcs } from './gcs/errors.ts'
import { gcsLimits, refuseGcsKey } from './gcs/keys.ts'
import { refuseGcsFeatures } from './gcs/features.ts'
import { listObjects } from './gcs/list.ts'
import { checkGcsOptions, type GcsOptions } from './gcs/options.ts'
import { getObject, headObject } from './gcs/read.ts'
import { dropSession, putResumable } from './gcs/resumable.ts'
import { signUrl } from './gcs/sign.ts'
import { targetOf } from './gcs/target.ts'
import { wireTo } from './gcs/wire.ts'
import { deleteObject, putWhole } from './gcs/write.ts'
import { prefixed } from './prefixed.ts'

export type { GcsOptions } from './gcs/options.ts'

const capabilities: Capabilities = {
  createIfAbsent: true,
  replaceIf: true,
  deleteIf: true,
  uniqueTokens: true,
  readIf: true,
  attests: ['crc32c', 'md5'],
  sign: true,
  listsAtOnce: true,
  quirks: {},
}

const mebibyte = 2 ** 20

/**
 * A bucket of Google Cloud Storage. Needs `@google-cloud/storage` 7.14 or newer. The token of an object is its generation, which every
 * write makes anew. Bytes are compared with their CRC32C and MD5 by the service before an object comes to be, those of large uploads
 * too. What is stored with `contentEncoding: 'gzip'` is read as it is stored. INVALID where an option breaks a rule.
 */
export function gcs(options: GcsOptions): Provider {
  checkGcsOptions(options)
  const { bucket, prefix = '', partSize = 8 * mebibyte, multipartThreshold = 64 * mebibyte } = options
  const name = options.name ?? (prefix === '' ? `gcs:${bucket}` : `gcs:${bucket}/${prefix}`)
  const storage = options.client ?? buildClient(options)
  const endpoint = checkEndpoint(storage.apiEndpoint, rulesOf(options))
  const carried = carriedSecrets()
  const errors = errorMaker(name, carried)
  const { userProject } = options
  const target = targetOf(bucket, errors, wireTo({ storage, endpoint, userProject, errors, carried }))

  const whole: Provider = {
    name,
    kind: 'gcs',
    location: `gcs://${endpoint.host}/${bucket}`,
    limits: gcsLimits,
    capabilities,
    refuseKey: refuseGcsKey,
    refuseFeatures: features => refuseGcsFeatures(features, name),
    async learn(_remembered, signal) {
      signal.throwIfAborted()
      return capabilities
    },
    put: (request, signal) =>
      request.source.size > multipartThreshold
        ? putResumable(target, request, partSize, signal)
        : putWhole(target, request, signal),
    head: (key, signal) => headObject(target, key, signal),
    get: (request, signal) => getObject(target, request, signal),
    delete: (key, token, signal) => deleteObject(target, key, token, signal),
    list: (request, signal) => listObjects(target, request, signal),
    sign: (request, signal) => signUrl(storage, bucket, errors, request, signal),
    abandon: (key, upload, signal) => dropSession(target, key, upload, signal),
    classify: error => classifyGcs(errors, error),
  }
  return prefix === '' ? whole : prefixed(whole, prefix, { name })
}

function rulesOf({ allowInsecure = false }: GcsOptions): EndpointRules {
  return { field: 'apiEndpoint', allowInsecure, allowLinkLocal: undefined, path: 'none' }
}

/** Tokens are not sent in the clear unless the user brought the client that makes them. The client's own retries are never in play. */
function buildClient(options: GcsOptions): Storage {
  const sdk = loadSdk<typeof import('@google-cloud/storage')>('@google-cloud/storage', 'holdfast/gcs')
  const { apiEndpoint, authClient, projectId } = options
  if (apiEndpoint !== undefined) checkEndpoint(apiEndpoint, rulesOf(options))
  const storage = new sdk.Storage({
    retryOptions: { autoRetry: false },
    useAuthWithCustomEndpoint: authClient !== undefined || (apiEndpoint ?? 'https:').startsWith('https:'),
    ...(apiEndpoint === undefined ? {} : { apiEndpoint }),
    ...(authClient === undefined ? {} : { authClient }),
    ...(projectId === undefined ? {} : { projectId }),
  })
  giveCredentials(storage, options)
  return storage
}

/** To the part of the client that uses them: given to its constructor, they make it write a warning to the console, each time. */
function giveCredentials(storage: Storage, { credentials, keyFilename }: GcsOptions): void {
  const holder = storage.authClient as unknown as { jsonContent: unknown; keyFilename: unknown }
  if (credentials !== undefined) holder.jsonContent = credentials
  if (keyFilename !== undefined) holder.keyFilename = keyFilename
}
