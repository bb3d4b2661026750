import { S3Client } from '@aws-sdk/client-s3'
import type { Provider } from '../../../src/core/provider.ts'
import type { Holdfast } from '../../../src/holdfast/holdfast.ts'
import { s3 } from '../../../src/providers/s3.ts'
import { withHoldfast, type WithHoldfastOptions } from '../../../src/s3-client/index.ts'
import type { LocalCloud } from '../../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../../src/testing/local/s3/index.ts'
import { testDirectory } from '../../support/store.ts'
import type { Both } from './world.ts'

export const bucket = 'photos'

/** A plain client of one server, and a wrapped one of another that is like it. */
export interface Sides extends AsyncDisposable {
  readonly clients: Both<S3Client>
  readonly store: Holdfast
  /** The wrapped client’s own server, past Holdfast. */
  readonly primary: S3Client
  readonly servers: Both<LocalCloud> & { readonly secondary: LocalCloud }
}

/** `primaryOf`: the first provider of the store, where it is not the wrapped client's own bucket. */
export async function startSides(
  config: { readonly requestChecksumCalculation?: 'WHEN_SUPPORTED' | 'WHEN_REQUIRED' } = {},
  providersOf?: (secondary: Provider) => Promise<readonly [Provider, Provider]>,
  options: WithHoldfastOptions = {},
): Promise<Sides> {
  await using stack = new AsyncDisposableStack()
  const directory = stack.use(await testDirectory())
  const servers = {
    plain: stack.use(await startLocalS3({ buckets: [bucket] })),
    wrapped: stack.use(await startLocalS3({ buckets: [bucket] })),
    secondary: stack.use(await startLocalS3({ buckets: [bucket] })),
  }
  const secondary = providerOf(servers.secondary, 'secondary')
  const store = await directory.open(
    (await providersOf?.(secondary)) ?? [providerOf(servers.wrapped, 'primary'), secondary],
  )
  const [plain, primary] = [clientOf(servers.plain, config), clientOf(servers.wrapped, config)]
  stack.defer(() => [plain, primary].forEach(client => client.destroy()))
  const clients = { plain, wrapped: withHoldfast(primary, { [bucket]: store }, options) }
  const all = stack.move()
  return { clients, store, primary, servers, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

function clientOf({ endpoint, credentials }: LocalCloud, config: object): S3Client {
  const nothing = (): void => {}
  return new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: credentials.id, secretAccessKey: credentials.secret },
    // It warns of every refused stream.
    logger: { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing },
    ...config,
  })
}

function providerOf({ endpoint, credentials }: LocalCloud, name: string): Provider {
  return s3({
    bucket,
    name,
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: credentials.id, secretAccessKey: credentials.secret },
  })
}
