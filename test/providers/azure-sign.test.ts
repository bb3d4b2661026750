import { createHmac } from 'node:crypto'
import { inspect } from 'node:util'
import { BlobServiceClient, type IHttpClient } from '@azure/storage-blob'
import { describe, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import { noMemo, type Provider, type SignRequest } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { azure } from '../../src/providers/azure.ts'
import { proof, type Recorder, refuse, reply, startRecorder } from './azure-recorder.ts'

const accountKey = Buffer.from('canary-account-key-canary').toString('base64')
const never = new AbortController().signal
const get: SignRequest = {
  method: 'GET',
  key: 'a key/é.txt',
  expiresInSeconds: 600,
  contentType: undefined,
  contentDisposition: undefined,
  createOnly: false,
}

describe('with the account key', () => {
  const provider = azure({ container: 'box', accountName: 'account', accountKey })

  test('a signed URL lets its bearer read one blob, over https, for that time, and nothing is sent for it', async () => {
    const before = Date.now()
    const { url, headers, method, expiresAt } = { ...(await provider.sign(get, never)), method: get.method }
    const { origin, pathname, searchParams } = new URL(url)
    expect([method, origin, decodeURIComponent(pathname)]).toEqual([
      'GET',
      'https://account.blob.core.windows.net',
      '/box/a key/é.txt',
    ])
    expect(Object.fromEntries(searchParams)).toMatchObject({ sr: 'b', sp: 'r', spr: 'https' })
    expect(headers).toEqual({})
    // The time in the URL has no milliseconds, and no other is promised.
    expect(new Date(searchParams.get('se') ?? '')).toEqual(expiresAt)
    expect(expiresAt.getTime()).toBeGreaterThan(before + 598_000)
    expect(expiresAt.getTime()).toBeLessThanOrEqual(Date.now() + 600_000)
  })

  test('what is overridden is signed', async () => {
    const { url } = await provider.sign({ ...get, contentType: 'image/png', contentDisposition: 'attachment' }, never)
    expect(Object.fromEntries(new URL(url).searchParams)).toMatchObject({ rsct: 'image/png', rscd: 'attachment' })
  })

  test('a URL to create with has no right to replace', async () => {
    const put: SignRequest = { ...get, method: 'PUT', contentType: 'image/png' }
    const create = await provider.sign({ ...put, createOnly: true }, never)
    expect(new URL(create.url).searchParams.get('sp')).toBe('c')
    expect(create.headers).toEqual({ 'x-ms-blob-type': 'BlockBlob', 'content-type': 'image/png', 'if-none-match': '*' })
    const replace = await provider.sign(put, never)
    expect(new URL(replace.url).searchParams.get('sp')).toBe('cw')
    expect(replace.headers).toEqual({ 'x-ms-blob-type': 'BlockBlob', 'content-type': 'image/png' })
  })
})

describe('with a token credential', () => {
  const keyValue = Buffer.from('canary delegation key').toString('base64')

  /** The service, in this process: tokens go over https only. */
  function serviceWith(asked: { url: string; body: string }[], lifeMs: number): BlobServiceClient {
    const httpClient: IHttpClient = {
      async sendRequest(request) {
        asked.push({ url: request.url, body: String(request.body) })
        const start = new Date(Date.now() - 60_000).toISOString()
        const expiry = new Date(Math.floor((Date.now() + lifeMs) / 1000) * 1000).toISOString()
        const headers = request.headers.clone()
        for (const { name } of headers.headersArray()) headers.remove(name)
        for (const [name, value] of Object.entries({ ...proof, 'content-type': 'application/xml' }))
          headers.set(name, value)
        return {
          request,
          status: 200,
          headers,
          bodyAsText: `<?xml version="1.0"?><UserDelegationKey><SignedOid>oid</SignedOid><SignedTid>tid</SignedTid><SignedStart>${start}</SignedStart><SignedExpiry>${expiry}</SignedExpiry><SignedService>b</SignedService><SignedVersion>2026-10-06</SignedVersion><Value>${keyValue}</Value></UserDelegationKey>`,
        }
      },
    }
    const credential = { getToken: async () => ({ token: 'canary-token', expiresOnTimestamp: Date.now() + 3_600_000 }) }
    return new BlobServiceClient('https://account.blob.core.windows.net', credential, { httpClient })
  }

  test('the service makes a key once, and URLs are signed with it', async () => {
    const asked: { url: string; body: string }[] = []
    const provider = azure({ container: 'box', client: serviceWith(asked, 7 * 86_400_000 - 60_000) })
    expect(provider.capabilities.sign).toBe(true)
    const first = await provider.sign(get, never)
    await provider.sign({ ...get, key: 'other', expiresInSeconds: 3 * 86_400 }, never)
    expect(asked).toHaveLength(1)
    expect(asked[0]?.url).toContain('comp=userdelegationkey')
    const query = Object.fromEntries(new URL(first.url).searchParams)
    expect(query).toMatchObject({ sr: 'b', sp: 'r', skoid: 'oid', sktid: 'tid', sks: 'b', spr: 'https' })
    expect(query['sig']).toMatch(/^[\w+/]{43}=$/)
    expect(createHmac('sha256', keyValue).update('x').digest('base64')).not.toBe(query['sig'])
    expect(inspect(provider, { depth: 8 })).not.toContain('canary')
  })

  test('nothing is promised beyond the life of the key', async () => {
    const asked: { url: string; body: string }[] = []
    const provider = azure({ container: 'box', client: serviceWith(asked, 3_600_000) })
    const { url, expiresAt } = await provider.sign({ ...get, expiresInSeconds: 86_400 }, never)
    expect(expiresAt.getTime()).toBeLessThanOrEqual(Date.now() + 3_600_000)
    expect(new Date(new URL(url).searchParams.get('se') ?? '')).toEqual(expiresAt)
    await provider.sign({ ...get, expiresInSeconds: 60 }, never)
    expect(asked).toHaveLength(1)
    await provider.sign({ ...get, expiresInSeconds: 7200 }, never)
    expect(asked).toHaveLength(2)
  })
})

test('whoever got in with a SAS is told what signing needs', async () => {
  const provider = azure({ container: 'box', accountName: 'account', sasToken: 'sv=1&sig=canary' })
  const error: unknown = await provider.sign(get, never).catch((caught: unknown) => caught)
  expect(error).toMatchObject({ code: 'UNSUPPORTED', provider: 'azure:box', key: get.key })
  expect(String(error)).toContain('account key')
})

describe('secrets stay home', () => {
  const sas = 'sv=2026-10-06&sp=rwdlc&se=2027-01-01T00:00:00Z&sig=canary-signature'
  const detail =
    'The MAC signature found in the HTTP request canary-mac is not the same as any computed signature. Server used following string to sign: canary-string'

  function everything(value: unknown): string {
    const seen = new Set<unknown>()
    const texts: string[] = []
    const visit = (part: unknown): void => {
      if (typeof part === 'string') texts.push(part)
      if (typeof part !== 'object' || part === null || seen.has(part)) return
      seen.add(part)
      for (const name of Object.getOwnPropertyNames(part)) visit((part as Record<string, unknown>)[name])
    }
    visit(value)
    return [inspect(value, { depth: 20, showHidden: true }), JSON.stringify(value), String(value), ...texts].join('\n')
  }

  async function allErrors(recorder: Recorder, provider: Provider): Promise<unknown[]> {
    const bytes = Buffer.from('body')
    const put = {
      source: bytesSource(bytes, digestsOf(bytes)),
      headers: { contentType: 'x/y' },
      metadata: {},
      condition: undefined,
      upload: noMemo,
    }
    const errors: unknown[] = []
    const keep = (error: unknown): unknown => errors.push(error)
    for (const answer of [
      refuse(403, 'AuthenticationFailed', detail),
      refuse(403, 'AuthorizationFailure', `https://x/?${sas}`),
      refuse(400, 'InvalidQueryParameterValue', `The value ${sas} is wrong`),
      refuse(500, 'InternalError', `SharedKey account:canary AccountKey=${accountKey}`),
      reply(500, { 'content-type': 'text/plain' }, `Authorization: Bearer canary-token ${sas}`),
      reply(200, { 'content-type': 'application/xml', 'x-ms-request-id': 'x' }, `<a>${sas}`),
      reply(302, { location: `https://x/?${sas}` }),
      ((_request, response) => response.destroy()) satisfies Recorder['answer'],
    ]) {
      recorder.answer = answer
      await provider.head('key', never).catch(keep)
      await provider.get({ key: 'key', range: undefined, token: undefined }, never).catch(keep)
      await provider.put({ ...put, key: 'key' }, never).catch(keep)
      await provider.delete('key', undefined, never).catch(keep)
      const entries = provider.list({ prefix: '', delimiter: '', startAfter: '' }, never)[Symbol.asyncIterator]()
      await entries.next().catch(keep)
    }
    return errors
  }

  test('no error shows a key, a signature or a token', async () => {
    await using recorder = await startRecorder(reply(200))
    const { endpoint } = recorder
    for (const provider of [
      azure({ container: 'box', endpoint, accountName: 'account', accountKey }),
      azure({ container: 'box', endpoint, sasToken: sas }),
    ]) {
      const errors = await allErrors(recorder, provider)
      expect(errors.length).toBeGreaterThan(30)
      for (const error of errors) {
        expect(error).toBeInstanceOf(HoldfastError)
        const shown = everything(error)
        expect(shown).not.toContain('canary')
        expect(shown).not.toContain(accountKey)
        expect(shown).not.toContain('SharedKey account:')
      }
    }
  })

  test('an error that the client threw is classified without what it carries', async () => {
    await using recorder = await startRecorder(refuse(403, 'AuthenticationFailed', detail))
    const client = new BlobServiceClient(`${recorder.endpoint}?${sas}`, undefined, { retryOptions: { maxTries: 1 } })
    const thrown: unknown = await client
      .getContainerClient('box')
      .getBlobClient('key')
      .getProperties()
      .catch((error: unknown) => error)
    const error = azure({ container: 'box', client }).classify(thrown)
    expect(error).toMatchObject({ code: 'DENIED', reason: 'CREDENTIALS', provider: 'azure:box' })
    expect(everything(error)).not.toContain('canary')
  })
})
