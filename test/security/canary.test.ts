import { BlobServiceClient } from '@azure/storage-blob'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { azure } from '../../src/providers/azure.ts'
import type { Recorder } from '../providers/s3-recorder.ts'
import { foundIn, viewsOf } from './canary.ts'
import {
  calls,
  checkEcho,
  echo,
  expectNoCanary,
  type forms,
  sasToken,
  secrets,
  signing,
  startPlaying,
  thrownBy,
  tokenCredential,
  type Way,
  ways,
} from './canary-ways.ts'
import { type Service, services } from './services.ts'

// I42, X1: the services repeat whatever they were told, in their words, in their codes and in their headers. Nothing of it may be in
// what comes out. All ways in, statuses and calls: canary.long.test.ts.

const { accessKeyId, secretAccessKey, sessionToken, accountKey, privateKey, sas, entra } = secrets
const signal = AbortSignal.timeout(600_000)
let server: Recorder

beforeAll(async () => {
  server = await startPlaying()
})
afterAll(() => server[Symbol.asyncDispose]())

const hardest: readonly (keyof typeof forms)[] = ['bare values', 'values for a code', 'headers']
const some = ['s3 with keys', 'gcs with tokens', 'azure with a SAS']

describe.each(some)('%s', name => {
  test.each(hardest)('repeats what it was told, as %s: no error has it (I42, X1)', async form => {
    expect(await checkEcho(ways[name] as Way, form, [403])).toBeGreaterThan(4)
  })
})

describe.each(Object.entries(ways))('%s', (_name, way) => {
  test('the provider itself shows no secret, nor do its name and its place (I42)', () => {
    const provider = way.make(server.endpoint)
    expectNoCanary('the provider', viewsOf(provider))
    expectNoCanary('its words', viewsOf([provider.name, provider.location, provider.capabilities, provider.limits]))
  })

  test('a signed URL has a signature, and not what it was made with (I42, X8)', async () => {
    const provider = way.make(server.endpoint)
    const failed = await thrownBy(async () => {
      const { url } = await provider.sign(signing, signal)
      expect(foundIn(url, [secretAccessKey, accountKey, privateKey, entra])).toEqual([])
    })
    expectNoCanary('sign', viewsOf(failed))
  })
})

test('an Entra token that the service repeats is in no error (I42, X1)', async () => {
  // Tokens go over TLS alone: what the SDK says instead is looked at, and what comes of an error that has one.
  const provider = azure({ container: 'main', endpoint: `${server.endpoint}/account`, credential: tokenCredential })
  for (const [call, run] of Object.entries(calls(provider))) expectNoCanary(call, viewsOf(await thrownBy(run)))
  const thrown = Object.assign(new Error(`refused: Bearer ${entra}`), {
    request: { headers: new Headers({ authorization: `Bearer ${entra}` }), url: 'http://x/' },
    response: { headers: new Headers({ 'x-ms-request-id': 'x' }), bodyAsText: `<Message>Bearer ${entra}</Message>` },
    statusCode: 403,
  })
  expectNoCanary('classify', viewsOf(provider.classify(thrown)))
})

test('control: what the SDKs throw by themselves is full of it, and the search finds it', async () => {
  const client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey, sessionToken },
  })
  server.answer = echo(services[0] as Service, 403, 'bare values')
  const ofS3 = await thrownBy(() => client.send(new PutObjectCommand({ Bucket: 'main', Key: 'k', Body: 'x' })))
  expect(foundIn(viewsOf(ofS3), [sessionToken])).not.toEqual([])
  server.answer = echo(services[2] as Service, 403, 'a dump of the request')
  const account = new BlobServiceClient(`${server.endpoint}/account?${sasToken}`)
  const ofAzure = await thrownBy(() => account.getContainerClient('main').getProperties())
  expect(foundIn(viewsOf(ofAzure), [sas])).not.toEqual([])
  for (const secret of Object.values(secrets)) {
    const hidden = Object.assign(new Error('no'), { cause: new Error('inside', { cause: { headers: { x: secret } } }) })
    expect(foundIn(viewsOf(hidden), [secret]).length).toBeGreaterThan(0)
  }
})
