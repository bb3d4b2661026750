import { S3, type S3ClientConfig } from '@aws-sdk/client-s3'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import type { HoldfastOptions } from '../../src/holdfast/options.ts'
import { s3 } from '../../src/providers/s3.ts'
import { withHoldfast, type WithHoldfastOptions } from '../../src/s3-client/index.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { testDirectory } from '../support/store.ts'

export const bucket = 'photos'
/** At the same servers, with no store. */
export const other = 'elsewhere'

/** Two S3 clouds, a store that has them, and the app's client: of the first cloud, as it is and wrapped. */
export interface World extends AsyncDisposable {
  readonly first: LocalCloud
  readonly second: LocalCloud
  readonly store: Holdfast
  readonly plain: S3
  readonly s3: S3
  /** Another client of the first cloud, wrapped or not by the caller. */
  client(config?: S3ClientConfig): S3
  /** Both clouds end, and what they had with them. */
  loseClouds(): Promise<void>
}

export interface WorldOptions {
  readonly store?: Partial<HoldfastOptions>
  readonly wrap?: WithHoldfastOptions
  readonly process?: 'own' | 'here'
}

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const disposal = new AsyncDisposableStack()
  const started = [0, 1].map(() => startLocalS3({ buckets: [bucket, other], process: options.process ?? 'here' }))
  const [first, second] = (await Promise.all(started)) as [LocalCloud, LocalCloud]
  disposal.defer(() => first.stop())
  disposal.defer(() => second.stop())
  const directory = disposal.use(await testDirectory())
  const provider = (name: string, cloud: LocalCloud) => s3({ name, bucket, ...configOf(cloud) })
  const store = await directory.open([provider('first', first), provider('second', second)], options.store)
  const client = (config: S3ClientConfig = {}) => {
    const made = new S3({ ...configOf(first), ...config })
    disposal.defer(() => made.destroy())
    return made
  }
  return {
    first,
    second,
    store,
    plain: client(),
    s3: withHoldfast(client(), { [bucket]: store }, options.wrap),
    client,
    async loseClouds() {
      await Promise.all([first.stop(), second.stop()])
    },
    [Symbol.asyncDispose]: () => disposal.disposeAsync(),
  }
}

export function configOf({ endpoint, credentials }: LocalCloud) {
  return {
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: credentials.id, secretAccessKey: credentials.secret },
  }
}

/** What a call rejects with. */
export async function refusal(call: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await call
  } catch (error) {
    return error as Error & Record<string, unknown>
  }
  throw new Error('it was not refused')
}
