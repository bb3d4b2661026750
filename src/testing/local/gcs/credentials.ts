import { generateKeyPairSync } from 'node:crypto'
import type { LocalCredentials } from '../cloud.ts'

/** A service account's name, and a key of its own made for this process: nothing that opens anything elsewhere. */
export function localGcsCredentials(): LocalCredentials {
  made ??= {
    id: 'local@holdfast-local.iam.gserviceaccount.com',
    secret: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    }) as string,
  }
  return made
}

let made: LocalCredentials | undefined
