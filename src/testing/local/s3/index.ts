import type { LocalCloud, LocalCloudOptions, LocalCredentials } from '../cloud.ts'
import { startServer } from '../server.ts'
import { beside, startInOwnProcess } from '../spawn.ts'
import { openStore } from '../store.ts'
import { ensureBucket } from './buckets.ts'
import { s3Service, stateOf } from './service.ts'

/** What clients sign with unless the options say otherwise: published examples, worth nothing. */
const exampleCredentials: LocalCredentials = {
  id: 'AKIAIOSFODNN7EXAMPLE',
  secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
}

/**
 * A faithful S3 on loopback: strict about signatures, checksums, conditions and limits, path-style addresses only, any region, no
 * versions, no bucket configurations (501). Encryption, locks, tags and access lists are checked, kept and told, and do nothing else;
 * access lists want a bucket that was created with another ownership than the usual one. Pages of any origin may read its answers.
 * Operations in fault rules and in the request log have the names of the SDK's commands ('PutObject', 'UploadPart', …).
 *
 * UNAVAILABLE when the port is taken. Given a directory, what was acknowledged survives a kill of the process (a power cut it need not);
 * one process at a time may have it.
 */
export async function startLocalS3(options: LocalCloudOptions = {}): Promise<LocalCloud> {
  if (options.process === 'own') return startInOwnProcess(beside(import.meta.url, 'child'), options)
  const credentials = options.credentials ?? exampleCredentials
  const store = openStore({ kind: 's3', directory: options.directory, discard: options.discard ?? false })
  try {
    const state = stateOf(store)
    for (const name of options.buckets ?? []) ensureBucket(state, name)
    return await startServer(s3Service(state, credentials), { port: options.port ?? 0, credentials })
  } catch (error) {
    store.close()
    throw error
  }
}
