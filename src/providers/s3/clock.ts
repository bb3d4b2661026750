import type { S3Client } from '@aws-sdk/client-s3'
import { httpDate } from '../transport.ts'

/** Less is let pass; services allow 15 minutes. */
const mostSkewMs = 240_000

/**
 * What the SDK makes of the date of each answer: where the clock of this machine differs from it, requests are signed by the service's. Writes the
 * client's own correction, so that its next request through the SDK is right too. `undefined`: there is nothing to wait for.
 */
export function correctClock(client: S3Client, headers: Readonly<Record<string, string>>): Promise<void> | undefined {
  const { config } = client
  const said = httpDate(headers['date'])
  // Of an answer out of a cache, the date is that of another moment.
  if (said === undefined || headers['age'] !== undefined) return undefined
  const offset = said - Date.now()
  return Math.abs(offset - (config.systemClockOffset ?? 0)) < mostSkewMs ? undefined : setClock(config, offset)
}

async function setClock(config: S3Client['config'], offset: number): Promise<void> {
  // Older releases have no such switch.
  const { disableClockSkewCorrection } = config as { readonly disableClockSkewCorrection?: () => Promise<boolean> }
  if ((await disableClockSkewCorrection?.()) !== true) config.systemClockOffset = offset
}
