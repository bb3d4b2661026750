import { once } from 'node:events'
import { createServer } from 'node:net'
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { S3Client } from '@aws-sdk/client-s3'
import { expect } from 'vitest'
import type { Provider, SignRequest } from '../../src/core/provider.ts'
import { azure } from '../../src/providers/azure.ts'
import { gcs } from '../../src/providers/gcs.ts'
import { s3 } from '../../src/providers/s3.ts'
import { bearer } from '../providers/gcs-support.ts'
import {
  all,
  type Answer,
  everything,
  putOf,
  type Recorder,
  reply,
  startRecorder,
  whole,
} from '../providers/s3-recorder.ts'
import { canaries, foundIn, viewsOf } from './canary.ts'
import { received, type Service, services } from './services.ts'

export const secrets = canaries()
const signal = AbortSignal.timeout(600_000)
let server: Recorder

/** For the tests of a file: what they ask, and how it answers. */
export async function startPlaying(): Promise<Recorder> {
  server = await startRecorder(reply(500))
  return server
}

/** Where nobody listens. */
async function closedPort(): Promise<string> {
  const closed = createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as { port: number }
  closed.close()
  return `http://127.0.0.1:${port}`
}

export interface Way {
  readonly service: Service['name']
  make(endpoint: string): Provider
}

const { accessKeyId, secretAccessKey, sessionToken, privateKey, accountKey, sas, entra } = secrets
export const sasToken = `sv=2024-11-04&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00:00:00Z&sig=${encodeURIComponent(sas)}`
const unit = 2 ** 18

export const ways: Readonly<Record<string, Way>> = {
  's3 with keys': {
    service: 's3',
    make: endpoint =>
      s3({
        bucket: 'main',
        endpoint,
        credentials: { accessKeyId, secretAccessKey, sessionToken },
        multipartThreshold: 2 ** 20,
      }),
  },
  's3 with a client': {
    service: 's3',
    make: endpoint =>
      s3({
        bucket: 'main',
        client: new S3Client({
          endpoint,
          region: 'us-east-1',
          forcePathStyle: true,
          credentials: { accessKeyId, secretAccessKey, sessionToken },
        }),
      }),
  },
  'gcs with tokens': {
    service: 'gcs',
    make: endpoint =>
      gcs({
        bucket: 'main',
        apiEndpoint: endpoint,
        authClient: bearer(secrets.bearer),
        multipartThreshold: unit,
        partSize: unit,
      }),
  },
  'gcs with a private key': {
    service: 'gcs',
    make: endpoint =>
      gcs({
        bucket: 'main',
        apiEndpoint: endpoint,
        credentials: { client_email: 'canary@example.com', private_key: privateKey },
      }),
  },
  'azure with the account key': {
    service: 'azure',
    make: endpoint => azure({ container: 'main', endpoint: `${endpoint}/account`, accountName: 'account', accountKey }),
  },
  'azure with a SAS': {
    service: 'azure',
    make: endpoint => azure({ container: 'main', endpoint: `${endpoint}/account`, sasToken }),
  },
  'azure with a connection string': {
    service: 'azure',
    make: endpoint =>
      azure({
        container: 'main',
        connectionString: `DefaultEndpointsProtocol=http;BlobEndpoint=${endpoint}/account;AccountName=account;AccountKey=${accountKey}`,
      }),
  },
  'azure with a client': {
    service: 'azure',
    make: endpoint =>
      azure({
        container: 'main',
        client: new BlobServiceClient(`${endpoint}/account`, new StorageSharedKeyCredential('account', accountKey)),
      }),
  },
}

export const tokenCredential = { getToken: async () => ({ token: entra, expiresOnTimestamp: Date.now() + 3_600_000 }) }

/** Every secret that the service can know of, as it may be repeated: from the request that it answers. */
export function echo(service: Service, status: number, form: keyof typeof forms): Answer {
  return (request, response, seen) => {
    const carried = Object.entries(request.headers).map(([name, value]) => [name, String(value)] as const)
    return forms[form](service, status, carried, request.url ?? '')(request, response, seen)
  }
}

type Carried = readonly (readonly [string, string])[]
export const forms = {
  'a dump of the request': (service: Service, status: number, carried: Carried, url: string) =>
    service.refusal(
      status,
      'AccessDenied',
      `${url}\n${carried.map(([name, value]) => `${name}: ${value}`).join('\n')}`,
    ),
  'the request as JSON': (service: Service, status: number, carried: Carried, url: string) =>
    service.refusal(status, 'AccessDenied', JSON.stringify({ url, headers: Object.fromEntries(carried) })),
  'bare values': (service: Service, status: number, carried: Carried, url: string) =>
    service.refusal(status, 'AccessDenied', ` ${doors(carried, url).join(' ')} `),
  'values for a code': (service: Service, status: number, carried: Carried, url: string) =>
    service.refusal(status, doors(carried, url).at(-1) ?? 'X', 'no', {
      'x-ms-error-code': (doors(carried, url).at(-1) ?? 'X').slice(0, 200),
    }),
  headers: (service: Service, status: number, carried: Carried, url: string) => {
    const value = doors(carried, url).join(' ').slice(0, 4_000)
    const names = [
      'x-amz-request-id',
      'x-amz-id-2',
      'x-ms-request-id',
      'retry-after',
      'location',
      'x-amz-bucket-region',
      'content-type',
      'www-authenticate',
      'x-guploader-uploadid',
    ]
    return service.refusal(status, 'AccessDenied', 'no', Object.fromEntries(names.map(name => [name, value])))
  },
  'a page of HTML': (_service: Service, status: number, carried: Carried, url: string) =>
    reply(
      status,
      { 'content-type': 'text/html' },
      `<html><body>${url} ${carried.map(String).join('<br>')}</body></html>`,
    ),
  'beside the message': (service: Service, status: number, carried: Carried, url: string) => {
    const value = doors(carried, url).join(' ')
    const xml = `<Error><Code>InvalidToken</Code><Message>no</Message><Token-0>${value}</Token-0><AWSAccessKeyId>${value}</AWSAccessKeyId><AuthenticationErrorDetail>${value}</AuthenticationErrorDetail></Error>`
    return service.say(
      status,
      service.name === 'gcs'
        ? JSON.stringify({ error: { message: 'no', details: [{ token: value }], token: value } })
        : xml,
    )
  },
}

/** The values that open doors, bare: as a gateway's own log line may have them. */
function doors(carried: Carried, url: string): string[] {
  const seen = { requests: [{ method: '', url, headers: Object.fromEntries(carried) }] }
  return [...received(seen)]
}

export const signing: SignRequest = {
  method: 'GET',
  key: 'k',
  expiresInSeconds: 60,
  contentType: undefined,
  contentDisposition: undefined,
  createOnly: false,
}

/** Every call that a driver has. */
export function calls(provider: Provider): Readonly<Record<string, () => Promise<unknown>>> {
  const large = Buffer.alloc(3 * 2 ** 20, 7)
  return {
    learn: () => provider.learn(undefined, signal),
    put: () => provider.put(putOf('k', 'body'), signal),
    'put if absent': () => provider.put(putOf('k', 'body', { condition: { absent: true } }), signal),
    'large put': () => provider.put(putOf('large', large), signal),
    head: () => provider.head('k', signal),
    get: async () => await (await provider.get(whole('k'), signal))?.close(),
    delete: () => provider.delete('k', undefined, signal),
    list: () => all(provider.list(everything, signal)),
    abandon: () =>
      provider.abandon(
        'k',
        JSON.stringify({ gcs: 1, session: '/upload?upload_id=CanarySession-0123456789', print: 'x' }),
        signal,
      ),
  }
}

export async function thrownBy(call: () => Promise<unknown>): Promise<unknown> {
  try {
    await call()
    return undefined
  } catch (error) {
    return error
  }
}

export function expectNoCanary(what: string, text: string): void {
  const known = [...Object.values(secrets), 'CanarySession-0123456789', ...received(server)]
  expect(foundIn(text, known), what).toEqual([])
}

/** The service repeats what it was told, in this form, with each of the statuses, to every call of a provider. Answers how many calls failed. */
export async function checkEcho(way: Way, form: keyof typeof forms, statuses: readonly number[]): Promise<number> {
  const service = services.find(({ name }) => name === way.service) as Service
  const provider = way.make(server.endpoint)
  server.requests.length = 0
  let failures = 0
  for (const status of statuses) {
    server.answer = echo(service, status, form)
    for (const [call, run] of Object.entries(calls(provider))) {
      const error = await thrownBy(run)
      if (error === undefined) continue
      failures++
      expectNoCanary(`${form} ${status} ${call}`, viewsOf(error))
      expectNoCanary(`classify ${form} ${status} ${call}`, viewsOf(provider.classify(error)))
    }
  }
  return failures
}

/** Connections that break in every way, and nobody there. */
export async function checkBreaks(way: Way): Promise<void> {
  server.requests.length = 0
  const breaks: readonly Answer[] = [
    request => request.socket.destroy(),
    request => request.socket.resetAndDestroy(),
    request => request.socket.end('SSH-2.0-x\r\n'),
    request =>
      request.socket.end(
        `HTTP/1.1 200 OK\r\ncontent-length: 10\r\nx: ${request.headers.authorization ?? ''}\r\n\r\nhalf`,
      ),
    request => request.socket.end(`HTTP/1.1 200 OK\r\n${request.headers.authorization ?? ''}\r\n\r\n`),
    (_request, response) => response.writeHead(200, { etag: 'x'.repeat(20_000) }).end(),
  ]
  const nobody = await closedPort()
  for (const endpoint of [server.endpoint, nobody]) {
    for (const answer of endpoint === nobody ? breaks.slice(0, 1) : breaks) {
      server.answer = answer
      for (const [call, run] of Object.entries(calls(way.make(endpoint)))) {
        expectNoCanary(call, viewsOf(await thrownBy(run)))
      }
    }
  }
}
