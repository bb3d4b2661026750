import { BlobServiceClient, type IHttpClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { createHash } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { describe, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { azure } from '../../src/providers/azure.ts'
import { blobProof, proof, refuse, reply, startRecorder, type Answer } from '../providers/azure-recorder.ts'

const signal = (): AbortSignal => AbortSignal.timeout(5_000)

test('the secondary host of a client, which may be hours behind, is never asked, whatever the primary answers (A11, I27)', async () => {
  await using primary = await startRecorder(refuse(503, 'ServerBusy'))
  await using secondary = await startRecorder(reply(200))
  const client = new BlobServiceClient(primary.endpoint, new StorageSharedKeyCredential('account', 'c2VjcmV0'), {
    retryOptions: { maxTries: 4, secondaryHost: new URL(secondary.endpoint).host, retryDelayInMs: 1 },
  })
  const provider = azure({ container: 'box', client })
  for (const [status, code] of [
    [503, 'ServerBusy'],
    [500, 'InternalError'],
    [404, 'ContainerNotFound'],
    [404, 'BlobNotFound'],
  ] as const) {
    primary.answer = refuse(status, code)
    primary.requests.length = 0
    for (const call of [
      () => provider.head('key', signal()),
      () => provider.get({ key: 'key', range: undefined, token: undefined }, signal()),
      () => Array.fromAsync(provider.list({ prefix: '', delimiter: '', startAfter: '' }, signal())),
    ])
      await call().catch((error: unknown) => expect(error).toBeInstanceOf(HoldfastError))
    expect(primary.requests.length, `${status} ${code}`).toBe(3)
  }
  expect(secondary.requests).toEqual([])
})

describe('tokens of Entra ID', () => {
  const tenant = '72f988bf-86f1-41af-91ab-2d7cd011db47'
  const challenge = `Bearer authorization_uri=https://login.microsoftonline.com/${tenant}/oauth2/authorize resource_id=https://storage.azure.com`

  /** The client sends tokens over TLS only: what it would send there goes to the recorder. */
  function tokensTo(
    endpoint: string,
    getToken: () => Promise<{ token: string; expiresOnTimestamp: number }>,
  ): Provider {
    const httpClient: IHttpClient = {
      sendRequest: request =>
        new Promise((resolve, reject) => {
          const { body } = request as { body?: unknown }
          const sent = httpRequest(request.url.replace('https://account.blob.core.windows.net', endpoint), {
            method: request.method,
            headers: request.headers.rawHeaders(),
            ...(request.abortSignal === undefined ? {} : { signal: request.abortSignal as AbortSignal }),
          })
          sent.on('error', reject)
          sent.on('response', answer => {
            const headers = request.headers.clone()
            for (const { name } of headers.headersArray()) headers.remove(name)
            for (const [name, value] of Object.entries(answer.headers)) headers.set(name, String(value))
            resolve({ request, status: answer.statusCode ?? 0, headers, readableStreamBody: answer })
          })
          const content: unknown = typeof body === 'function' ? (body as () => unknown)() : body
          if (content === undefined || content === null) sent.end()
          else if (typeof content === 'string' || content instanceof Uint8Array) sent.end(content)
          else (content as NodeJS.ReadableStream).pipe(sent)
        }),
    }
    const client = new BlobServiceClient('https://account.blob.core.windows.net', { getToken }, { httpClient })
    return azure({ container: 'box', client })
  }

  const put = (provider: Provider, bytes: Uint8Array): Promise<unknown> =>
    provider.put(
      {
        key: 'key',
        source: bytesSource(bytes, digestsOf(bytes)),
        headers: { contentType: 'x/y' },
        metadata: {},
        condition: undefined,
        upload: noMemo,
      },
      signal(),
    )

  test('one that ends is fetched anew before it does; one that the service refuses is told as such (A7)', async () => {
    await using service = await startRecorder(reply(200, { ...blobProof, 'content-length': '4' }))
    let asked = 0
    let lifeMs = 1_000
    const provider = tokensTo(service.endpoint, async () => {
      asked++
      return { token: `token ${asked}`, expiresOnTimestamp: Date.now() + lifeMs }
    })
    await provider.head('key', signal())
    await new Promise(resolve => setTimeout(resolve, 1_100))
    lifeMs = 3_600_000
    await provider.head('key', signal())
    await provider.head('key', signal())
    const sent = service.requests.map(({ headers }) => headers.authorization)
    expect(new Set(sent).size).toBe(2)
    expect(sent[2]).toBe(sent[1])
    service.answer = refuse(401, 'InvalidAuthenticationInfo')
    const error = await provider.head('key', signal()).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'DENIED', reason: 'CREDENTIALS' })
  })

  test.each([1_000, 2_000_000])(
    'where the service wants one of its own tenant, a body of %i bytes is sent again with it, whole (A7, I15)',
    async size => {
      const bytes = Buffer.alloc(size, 'holdfast')
      const md5 = createHash('md5').update(bytes).digest('base64')
      await using service = await startRecorder(() => {})
      let isFirst = true
      const good = reply(201, { ...blobProof, 'content-md5': md5 })
      const wants = reply(401, {
        ...proof,
        'www-authenticate': challenge,
        'x-ms-error-code': 'NoAuthenticationInformation',
      })
      const answer: Answer = (request, response, seen) => {
        const say = isFirst ? wants : good
        isFirst = false
        return say(request, response, seen)
      }
      service.answer = answer
      const getToken = async () => ({ token: 'token', expiresOnTimestamp: Date.now() + 3_600_000 })
      await put(tokensTo(service.endpoint, getToken), bytes)
      expect(service.requests.map(({ body }) => body?.equals(bytes))).toEqual([true, true])
    },
  )
})
