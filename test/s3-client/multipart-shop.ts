import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import { expect } from 'vitest'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import type { HoldfastOptions } from '../../src/holdfast/options.ts'
import { withHoldfast, type WithHoldfastOptions } from '../../src/s3-client/index.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { testDirectory } from '../support/store.ts'
import { clientOf } from '../testing/local-s3-tools.ts'
import { Bucket, providerOf } from './multipart-parts.ts'

/** An app with two clouds that speak S3, and a client that was wrapped. */
export interface Shop extends AsyncDisposable {
  readonly clouds: readonly [LocalCloud, LocalCloud]
  /** The directory of the store. */
  readonly path: string
  readonly store: Holdfast
  readonly client: S3Client
  /** The first cloud's own client, as the app had it. */
  readonly plain: S3Client
  /** The same of the second. */
  readonly other: S3Client
  /** Closes the store and opens it again, as after a restart; `client` is wrapped anew. */
  restart(): Promise<void>
  /** No cloud answers, until `up`. */
  down(): Promise<void>
  up(): Promise<void>
}

export interface ShopOptions extends WithHoldfastOptions {
  readonly config?: S3ClientConfig
  readonly store?: Partial<HoldfastOptions>
}

export async function openShop({ config, store: storeOptions, ...options }: ShopOptions = {}): Promise<Shop> {
  const clouds = [await startLocalS3({ buckets: [Bucket, 'else'] }), await startLocalS3({ buckets: [Bucket] })] as const
  const directory = await testDirectory()
  const open = () => directory.open([providerOf(clouds[0], 'one'), providerOf(clouds[1], 'two')], storeOptions)
  let store = await open()
  const plain = clientOf(clouds[0], config)
  const other = clientOf(clouds[1])
  let client = withHoldfast(plain, { [Bucket]: store }, options)
  return {
    clouds,
    path: directory.path,
    get store() {
      return store
    },
    get client() {
      return client
    },
    plain,
    other,
    async restart() {
      await store.close()
      store = await open()
      client = withHoldfast(plain, { [Bucket]: store }, options)
    },
    async down() {
      for (const cloud of clouds) await cloud.fault({ fault: { kind: 'reset' } })
    },
    async up() {
      for (const cloud of clouds) await cloud.heal()
    },
    async [Symbol.asyncDispose]() {
      await directory[Symbol.asyncDispose]()
      plain.destroy()
      other.destroy()
      for (const cloud of clouds) await cloud.stop()
    },
  }
}

/** What it rejects with: name and status. */
export async function refusal(running: Promise<unknown>): Promise<string> {
  const error = await running.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(Error)
  const { name, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } }
  return `${name} ${$metadata?.httpStatusCode}`
}
