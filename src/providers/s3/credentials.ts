import type { S3Client } from '@aws-sdk/client-s3'

/**
 * Credentials that the service refused are fetched anew before the next request. The SDK hands out the same ones until they say that they end;
 * those that do not say, and were revoked or replaced, it would sign with as long as the process lives.
 */
export interface Renewal {
  /** The service did not take them. */
  refused(): void
  readonly isDue: boolean
  /** Once for each refusal. Does not reject: what keeps them from coming shows when the request is signed. */
  renew(): Promise<void>
}

export function renewalOf(client: S3Client): Renewal {
  let isDue = false
  return {
    refused() {
      isDue = true
    },
    get isDue() {
      return isDue
    },
    async renew() {
      if (!isDue) return
      // At once: who comes while they are fetched does not wait for a fetch that may hang.
      isDue = false
      try {
        await client.config.credentials({ forceRefresh: true })
      } catch {
        // Said when the request is signed.
      }
    },
  }
}
