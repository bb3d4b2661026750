import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { Storage } from '@google-cloud/storage'
import { digestsOf } from '../../src/core/digest.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { azure } from '../../src/providers/azure.ts'
import { gcs } from '../../src/providers/gcs.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { startAzurite } from '../../test/servers/azurite.ts'
import { startAnswers } from '../servers/start.ts'
import { bucket, providerAt, sdkClient } from '../servers/stores.ts'

/** The four requests that replication and reads are made of. A get reads the body to its end. */
export const requests = ['put', 'get', 'head', 'delete'] as const

/** Ways of sending them: each answers when its request was answered, and throws where it was refused. */
export type Calls = Readonly<Record<(typeof requests)[number], (key: string) => Promise<unknown>>>

/** One cloud, by its driver and by its SDK; the server is a process of its own. */
export interface Cloud {
  readonly name: string
  readonly driver: Calls
  readonly sdk: Calls
  stop(): Promise<void>
}

const contentType = 'image/jpeg'
/** A name that every cloud takes as it is. */
const metadata = { takenby: 'somebody' }

/** What the replicator asks of a driver. It has the digests from the stage: to compute them is no part of a request. */
async function callsOf(provider: Provider, body: Uint8Array): Promise<Calls> {
  const { signal } = new AbortController()
  const source = bytesSource(body, digestsOf(body))
  await provider.learn(undefined, signal)
  return {
    put: key =>
      provider.put({ key, source, headers: { contentType }, metadata, condition: undefined, upload: noMemo }, signal),
    async get(key) {
      const found = await provider.get({ key, range: undefined, token: undefined }, signal)
      let size = 0
      for await (const chunk of found?.body ?? []) size += chunk.byteLength
      demandWhole(size, body)
    },
    head: key => provider.head(key, signal),
    delete: key => provider.delete(key, undefined, signal),
  }
}

function demandWhole(size: number | undefined, body: Uint8Array): void {
  if (size !== body.byteLength) throw new Error(`${size} bytes were read of ${body.byteLength}`)
}

export async function startAmazon(body: Uint8Array): Promise<Cloud> {
  const server = await startAnswers('all')
  const client = sdkClient(server)
  return {
    name: 'S3',
    driver: await callsOf(providerAt(server, 'driver'), body),
    sdk: amazonCalls(client, body),
    async stop() {
      client.destroy()
      await server.stop()
    },
  }
}

function amazonCalls(client: S3Client, body: Uint8Array): Calls {
  const at = (Key: string) => ({ Bucket: bucket, Key })
  return {
    put: key =>
      client.send(new PutObjectCommand({ ...at(key), Body: body, ContentType: contentType, Metadata: metadata })),
    async get(key) {
      const { Body } = await client.send(new GetObjectCommand(at(key)))
      demandWhole((await Body?.transformToByteArray())?.byteLength, body)
    },
    head: key => client.send(new HeadObjectCommand(at(key))),
    delete: key => client.send(new DeleteObjectCommand(at(key))),
  }
}

export async function startGoogle(body: Uint8Array): Promise<Cloud> {
  const server = await startLocalGcs({ buckets: [bucket], process: 'own' })
  const client = new Storage({ apiEndpoint: server.endpoint, projectId: 'bench' })
  const file = (key: string) => client.bucket(bucket).file(key)
  const bytes = Buffer.from(body)
  return {
    name: 'GCS',
    driver: await callsOf(gcs({ bucket, name: 'driver', apiEndpoint: server.endpoint, projectId: 'bench' }), body),
    sdk: {
      put: key => file(key).save(bytes, { resumable: false, contentType, metadata: { metadata } }),
      get: async key => demandWhole((await file(key).download())[0].byteLength, body),
      head: key => file(key).getMetadata(),
      delete: key => file(key).delete(),
    },
    stop: () => server.stop(),
  }
}

export async function startMicrosoft(body: Uint8Array): Promise<Cloud> {
  const { accountName, accountKey, endpoint, stop } = await startAzurite()
  const service = new BlobServiceClient(endpoint, new StorageSharedKeyCredential(accountName, accountKey))
  await service.createContainer(bucket)
  const blob = (key: string) => service.getContainerClient(bucket).getBlockBlobClient(key)
  return {
    name: 'Azure',
    driver: await callsOf(azure({ container: bucket, name: 'driver', endpoint, accountName, accountKey }), body),
    sdk: {
      put: key =>
        blob(key).upload(Buffer.from(body), body.byteLength, {
          blobHTTPHeaders: { blobContentType: contentType },
          metadata,
        }),
      get: async key => demandWhole((await blob(key).downloadToBuffer()).byteLength, body),
      head: key => blob(key).getProperties(),
      delete: key => blob(key).delete(),
    },
    stop,
  }
}
