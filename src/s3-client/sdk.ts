import { loadSdk } from '../core/sdk.ts'

type Sdk = typeof import('@aws-sdk/client-s3')

/** The SDK that the app has: its errors, and its commands for requests of our own. */
export function sdk(): Sdk {
  return loadSdk<Sdk>('@aws-sdk/client-s3', 'holdfast/s3-client')
}
