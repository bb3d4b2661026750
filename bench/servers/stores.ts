import { S3Client } from '@aws-sdk/client-s3'
import { type Holdfast, type HoldfastOptions, openHoldfast } from '../../src/index.ts'
import { s3 } from '../../src/providers/s3.ts'
import type { Provider } from '../../src/core/provider.ts'
import type { Answers } from './start.ts'

const region = 'us-east-1'
const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }
export const bucket = 'bench'

/** The SDK as it comes, but for as many connections as the row has requests in flight. */
export function sdkClient({ endpoint }: Pick<Answers, 'endpoint'>): S3Client {
  return new S3Client({
    endpoint,
    region,
    credentials,
    forcePathStyle: true,
    requestHandler: { httpAgent: { keepAlive: true, maxSockets: 512 } },
  })
}

export function providerAt({ endpoint }: Pick<Answers, 'endpoint'>, name: string): Provider {
  return s3({ bucket, endpoint, region, credentials, name })
}

/** A store over two servers, with Holdfast's own defaults but for what the row says. */
export function openOver(
  directory: string,
  [primary, secondary]: readonly [Pick<Answers, 'endpoint'>, Pick<Answers, 'endpoint'>],
  options: Partial<HoldfastOptions> = {},
): Promise<Holdfast> {
  return openHoldfast({
    directory,
    primary: providerAt(primary, 'primary'),
    secondary: providerAt(secondary, 'secondary'),
    maxStageBytes: 2 ** 40,
    ...options,
  })
}

/** Resolves when both providers were learnt and have taken an object: what is measured next begins with open connections. */
export async function warmedUp(store: Holdfast): Promise<Holdfast> {
  await store.put('warm-up', 'a first object')
  await store.drain({ until: 'verified' })
  return store
}
