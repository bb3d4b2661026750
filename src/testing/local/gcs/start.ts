import type { LocalCloud, LocalCloudOptions } from '../cloud.ts'
import { startServer } from '../server.ts'
import { beside, startInOwnProcess } from '../spawn.ts'
import { createBucket } from './buckets.ts'
import { localGcsCredentials } from './credentials.ts'
import { openKeeper } from './keeper.ts'
import { gcsProtocol } from './protocol.ts'

export type { Operation } from './route.ts'

/** Of `startLocalGcs`. */
export interface LocalGcsOptions extends LocalCloudOptions {
  /**
   * The OAuth token that requests must bear, else 401. Default: nobody is asked who they are, as at an emulator; signatures of signed
   * URLs are checked either way.
   */
  readonly auth?: { readonly token: string }
  /** Refuses a second change of an object within a second with 429, as the service does. Default false. */
  readonly oneMutationPerSecond?: boolean
}

/**
 * Google Cloud Storage on loopback: the JSON API, uploads in one request and in several, and signed URLs, for the official client with
 * `new Storage({ apiEndpoint: cloud.endpoint, projectId: 'any' })`. `credentials` sign URLs: `{ client_email: id, private_key: secret }`.
 * What rules match as `operation` is listed at `Operation`. Without: versions of objects, ACLs and IAM, notifications, customer keys.
 */
export async function startLocalGcs(options: LocalGcsOptions = {}): Promise<LocalCloud> {
  const { buckets = [], port = 0, directory, discard = false, auth, oneMutationPerSecond = false } = options
  const credentials = options.credentials ?? localGcsCredentials()
  if (options.process === 'own')
    return await startInOwnProcess(beside(import.meta.url, 'process'), { ...options, credentials })
  const keeper = openKeeper({ directory, discard, oneMutationPerSecond })
  try {
    for (const name of buckets) if (keeper.buckets.get(name) === undefined) createBucket(keeper, { name })
    return await startServer(gcsProtocol(keeper, { credentials, token: auth?.token }), { port, credentials })
  } catch (error) {
    keeper.store.close()
    throw error
  }
}
