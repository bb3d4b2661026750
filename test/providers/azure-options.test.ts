import { inspect } from 'node:util'
import { BlobServiceClient } from '@azure/storage-blob'
import { describe, expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { type AzureOptions, azure } from '../../src/providers/azure.ts'

const accountKey = Buffer.from('canary-account-key').toString('base64')
const account: AzureOptions = { container: 'box', accountName: 'account', accountKey }
const sasToken = 'sv=2026-10-06&ss=b&srt=sco&sp=rwdlc&se=2027-01-01T00:00:00Z&sig=Y2FuYXJ5LXNpZ25hdHVyZQ%3D%3D'
const credential = { getToken: async () => null }

function refusal(options: unknown): unknown {
  try {
    azure(options as AzureOptions)
  } catch (error) {
    return error
  }
  return undefined
}

describe('what is refused, and how', () => {
  test.each<[string, Record<string, unknown>, { field: string; rule: string }]>([
    ['an unknown name', { ...account, blocksize: 1 }, { field: 'options', rule: 'unknown' }],
    ['no way in', { container: 'box' }, { field: 'options', rule: 'credentials' }],
    [
      'an account and nothing to get in with',
      { container: 'box', accountName: 'account' },
      { field: 'options', rule: 'credentials' },
    ],
    ['a key and a SAS', { ...account, sasToken }, { field: 'sasToken', rule: 'several' }],
    ['a key and a credential', { ...account, credential }, { field: 'credential', rule: 'several' }],
    ['a key without an account', { container: 'box', accountKey }, { field: 'accountName', rule: 'missing' }],
    ['a credential without a place', { container: 'box', credential }, { field: 'accountName', rule: 'missing' }],
    [
      'a connection string and an endpoint',
      { container: 'box', connectionString: 'UseDevelopmentStorage=true', endpoint: 'https://x' },
      { field: 'endpoint', rule: 'connectionString' },
    ],
    ['a client that is none', { container: 'box', client: {} }, { field: 'client', rule: 'type' }],
    [
      'a credential that is none',
      { container: 'box', accountName: 'account', credential: {} },
      { field: 'credential', rule: 'type' },
    ],
    [
      'a connection string that is none',
      { container: 'box', connectionString: 'canary-secret' },
      { field: 'connectionString', rule: 'format' },
    ],
    ['a key that is none', { ...account, accountKey: 'not base64!' }, { field: 'accountKey', rule: 'format' }],
    [
      'a SAS that is none',
      { container: 'box', accountName: 'account', sasToken: 'hello' },
      { field: 'sasToken', rule: 'format' },
    ],
    ['an account name that is none', { ...account, accountName: 'My-Account' }, { field: 'accountName', rule: 'name' }],
    ['a container in capitals', { ...account, container: 'Box' }, { field: 'container', rule: 'name' }],
    ['a container of two letters', { ...account, container: 'ab' }, { field: 'container', rule: 'name' }],
    ['a container of 64 letters', { ...account, container: 'a'.repeat(64) }, { field: 'container', rule: 'name' }],
    ['a container with two hyphens in a row', { ...account, container: 'a--b' }, { field: 'container', rule: 'name' }],
    ['a container that ends in a hyphen', { ...account, container: 'ab-' }, { field: 'container', rule: 'name' }],
    ['a container with a slash', { ...account, container: 'a/b' }, { field: 'container', rule: 'name' }],
    ['a container of the service', { ...account, container: '$root' }, { field: 'container', rule: 'name' }],
    ['tiny blocks', { ...account, blockSize: 1000 }, { field: 'blockSize', rule: 'range' }],
    ['huge blocks', { ...account, blockSize: 4001 * 2 ** 20 }, { field: 'blockSize', rule: 'range' }],
    ['no number of bytes', { ...account, singleShotBytes: Number.NaN }, { field: 'singleShotBytes', rule: 'range' }],
    [
      'too much in one request',
      { ...account, singleShotBytes: 5001 * 2 ** 20 },
      { field: 'singleShotBytes', rule: 'range' },
    ],
    [
      'http to another machine',
      { ...account, endpoint: 'http://account.example.com' },
      { field: 'endpoint', rule: 'insecure' },
    ],
    ['no URL', { ...account, endpoint: 'account.example.com' }, { field: 'endpoint', rule: 'url' }],
    ['another protocol', { ...account, endpoint: 'file:///etc' }, { field: 'endpoint', rule: 'url' }],
    [
      'a user in the URL',
      { ...account, endpoint: 'https://canary:secret@example.com' },
      { field: 'endpoint', rule: 'userinfo' },
    ],
    [
      'a SAS in the URL',
      { ...account, endpoint: `https://example.com?${sasToken}` },
      { field: 'endpoint', rule: 'query' },
    ],
    ['a path in the URL', { ...account, endpoint: 'https://example.com/a/b' }, { field: 'endpoint', rule: 'path' }],
    [
      'a metadata service',
      { ...account, endpoint: 'https://169.254.169.254' },
      { field: 'endpoint', rule: 'forbidden' },
    ],
    [
      'a metadata service in IPv6',
      { ...account, endpoint: 'https://[fd00:ec2::254]' },
      { field: 'endpoint', rule: 'forbidden' },
    ],
    [
      'http in a connection string',
      {
        container: 'box',
        connectionString: `DefaultEndpointsProtocol=http;AccountName=a;AccountKey=${accountKey};EndpointSuffix=x.com`,
      },
      { field: 'connectionString', rule: 'insecure' },
    ],
    [
      'http in a client',
      { container: 'box', client: new BlobServiceClient('http://example.com') },
      { field: 'client', rule: 'insecure' },
    ],
    ['a bad prefix', { ...account, prefix: '../x' }, { field: 'prefix', rule: 'segment' }],
  ])('%s', (_what, options, expected) => {
    const error = refusal(options)
    expect(error).toBeInstanceOf(HoldfastError)
    expect(error).toMatchObject({ code: 'INVALID', outcome: 'rejected', retryable: false, ...expected })
    expect(inspect(error)).not.toMatch(/canary|Y2FuYXJ5/)
  })

  test('a name that is nearly right gets a suggestion', () => {
    expect(String(refusal({ ...account, blocksSize: 1 }))).toContain('did you mean blockSize?')
    expect(String(refusal({ ...account, contianer: 1 }))).toContain('did you mean container?')
    expect(String(refusal({ ...account, somethingElse: 1 }))).toContain('there are: container,')
  })

  test.each<[string, unknown]>([
    ['no options', undefined],
    ['no container', { accountName: 'account', accountKey }],
    ['a number for a name', { ...account, container: 7 }],
    ['a text for a flag', { ...account, allowInsecure: 'yes' }],
    ['a text for a number', { ...account, blockSize: '8' }],
    ['null for a client', { container: 'box', client: null }],
    ['a number for a key', { ...account, accountKey: 7 }],
  ])('%s is a TypeError', (_what, options) => {
    expect(refusal(options)).toBeInstanceOf(TypeError)
  })
})

describe('what is taken', () => {
  test.each<[string, AzureOptions, string]>([
    ['account and key', account, 'azure://account.blob.core.windows.net/box'],
    [
      'account and SAS',
      { container: 'box', accountName: 'account', sasToken: `?${sasToken}` },
      'azure://account.blob.core.windows.net/box',
    ],
    [
      'account and credential',
      { container: 'box', accountName: 'account', credential },
      'azure://account.blob.core.windows.net/box',
    ],
    [
      'endpoint and credential',
      { container: 'box', endpoint: 'https://blobs.example.com', credential },
      'azure://blobs.example.com/box',
    ],
    [
      'the emulator',
      { container: 'box', connectionString: 'UseDevelopmentStorage=true' },
      'azure://127.0.0.1:10000/devstoreaccount1/box',
    ],
    [
      'http where that is allowed',
      { ...account, endpoint: 'http://nas.example.com', allowInsecure: true },
      'azure://nas.example.com/box',
    ],
    [
      'a SAS connection string',
      {
        container: 'box',
        connectionString: `BlobEndpoint=https://account.blob.core.windows.net;SharedAccessSignature=${sasToken}`,
      },
      'azure://account.blob.core.windows.net/box',
    ],
    [
      'a client',
      { container: 'box', client: new BlobServiceClient(`https://account.blob.core.windows.net?${sasToken}`) },
      'azure://account.blob.core.windows.net/box',
    ],
    ['a prefix', { ...account, prefix: 'photos/' }, 'azure://account.blob.core.windows.net/box/photos/'],
  ])('%s, at %s', (_what, options, location) => {
    const provider = azure(options)
    expect(provider.location).toBe(location)
    expect(inspect(provider, { depth: 5 })).not.toMatch(/canary|Y2FuYXJ5|sig=/)
  })

  test('names are those of the container, or what the caller says', () => {
    expect(azure(account).name).toBe('azure:box')
    expect(azure({ ...account, prefix: 'photos/' }).name).toBe('azure:box/photos/')
    expect(azure({ ...account, prefix: 'photos/', name: 'second' }).name).toBe('second')
  })

  test('whoever has neither key nor token cannot sign', () => {
    expect(azure(account).capabilities.sign).toBe(true)
    expect(azure({ container: 'box', accountName: 'account', credential }).capabilities.sign).toBe(true)
    expect(azure({ container: 'box', accountName: 'account', sasToken }).capabilities.sign).toBe(false)
  })
})
