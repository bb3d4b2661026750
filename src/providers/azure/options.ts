import type { BlobServiceClient } from '@azure/storage-blob'
import { invalid, shown } from '../../core/errors.ts'
import { loadSdk } from '../../core/sdk.ts'
import { checkEndpoint } from '../endpoint.ts'
import { checkOptions, type OptionType } from '../options.ts'
import { mostBlockBytes, mostSingleShotBytes } from './keys.ts'

/** Makes tokens: any credential of @azure/identity. */
export interface AzureTokenCredential {
  /** `expiresOnTimestamp` in ms since 1970. */
  getToken(
    scopes: string | string[],
    options?: object,
  ): Promise<{ readonly token: string; readonly expiresOnTimestamp: number } | null>
}

/** Where the container is and how to get in: a client, a connection string, or an account with one of key, SAS and credential. */
export interface AzureOptions {
  /** Its name: 3 to 63 lower-case letters, digits and single hyphens (Azure's rule). Must be there already. */
  readonly container: string
  /** Only the keys that begin with it, which is left out of them: `photos/`. Default: the whole container. */
  readonly prefix?: string
  /** Default `azure:<container>`, and `/<prefix>`. Unique among the providers of a store. */
  readonly name?: string
  /** Your own client, with its credentials, HTTP client, proxy and policies. Its retries and redirects are neither used nor touched. */
  readonly client?: BlobServiceClient
  /** As the portal shows it, with an account key or a SAS. */
  readonly connectionString?: string
  /** The account's name: 3 to 24 lower-case letters and digits. */
  readonly accountName?: string
  /** Base64. */
  readonly accountKey?: string
  /** A shared access signature for the account or the container: the part of the URL after `?`. */
  readonly sasToken?: string
  /** Entra ID. */
  readonly credential?: AzureTokenCredential
  /** Of the account. Default `https://<accountName>.blob.core.windows.net`. */
  readonly endpoint?: string
  /** Bytes of a block of an upload in blocks: 1 MiB to 4,000 MiB. Grows where a body would take over 50,000. Default 8 MiB. */
  readonly blockSize?: number
  /** Bodies up to this many bytes go up in one request, and are compared by the service as a whole: up to 5,000 MiB. Default 256 MiB. */
  readonly singleShotBytes?: number
  /** Allows an `http:` endpoint on another machine: keys, bytes and tokens can be read on the way. Default false. */
  readonly allowInsecure?: boolean
}

const types = {
  container: 'string',
  prefix: 'string',
  name: 'string',
  client: 'object',
  connectionString: 'string',
  accountName: 'string',
  accountKey: 'string',
  sasToken: 'string',
  credential: 'object',
  endpoint: 'string',
  blockSize: 'number',
  singleShotBytes: 'number',
  allowInsecure: 'boolean',
} as const satisfies Record<keyof AzureOptions, OptionType>

/** INVALID, naming the option and its rule; TypeError where a value has the wrong JavaScript type. Sends nothing. */
export function checkAzureOptions(options: AzureOptions): void {
  checkOptions('azure', options, types, 'container')
  checkContainer(options.container)
  checkBytes('blockSize', options.blockSize, 2 ** 20, mostBlockBytes)
  checkBytes('singleShotBytes', options.singleShotBytes, 0, mostSingleShotBytes)
  checkWayIn(options)
}

/** https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata#container-names */
function checkContainer(container: string): void {
  if (/^[a-z0-9](?:-?[a-z0-9]){2,62}$/.test(container) && container.length <= 63) return
  const rule = container.startsWith('$')
    ? 'must not be one of the service itself'
    : 'is 3 to 63 lower-case letters, digits and single hyphens between them'
  throw invalid('container', 'name', `the name of a container ${rule}, got ${shown(container)}`)
}

function checkBytes(name: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least && value <= most)) return
  throw invalid(name, 'range', `${name} is ${least} to ${most} bytes, got ${shown(value)}`)
}

const waysIn = ['client', 'connectionString', 'accountKey', 'sasToken', 'credential'] as const

/** One way in, and what goes with it. */
function checkWayIn(options: AzureOptions): void {
  const given = waysIn.filter(name => options[name] !== undefined)
  const [way, other] = given
  if (way === undefined) {
    throw invalid('options', 'credentials', `azure() wants one of ${waysIn.join(', ')}`)
  }
  if (other !== undefined) throw invalid(other, 'several', `azure() takes ${way} or ${other}, not both`)
  const { accountName, endpoint, accountKey, sasToken, client, credential } = options
  const isWhole = way === 'client' || way === 'connectionString'
  const extra = (['accountName', 'endpoint'] as const).find(name => options[name] !== undefined)
  if (isWhole && extra !== undefined)
    throw invalid(extra, way, `azure() takes ${way} or ${extra}, not both: it says which`)
  if (way === 'accountKey' && accountName === undefined) {
    throw invalid('accountName', 'missing', 'azure() wants accountName with accountKey')
  }
  if (!isWhole && accountName === undefined && endpoint === undefined) {
    throw invalid('accountName', 'missing', `azure() wants accountName or endpoint with ${way}`)
  }
  if (accountName !== undefined && !/^[a-z0-9]{3,24}$/.test(accountName)) {
    throw invalid(
      'accountName',
      'name',
      `accountName is 3 to 24 lower-case letters and digits, got ${shown(accountName)}`,
    )
  }
  if (accountKey !== undefined && !/^[A-Za-z0-9+/]{4,}={0,2}$/.test(accountKey)) {
    throw invalid('accountKey', 'format', 'accountKey is not base64')
  }
  if (sasToken !== undefined && !/^\??(?:[\w-]+=[^&#\s]*&)*sig=[^&#\s]+(?:&[\w-]+=[^&#\s]*)*$/.test(sasToken)) {
    throw invalid('sasToken', 'format', 'sasToken is not a query with a signature in it: sv=…&sig=…')
  }
  if (client !== undefined && (typeof client.getContainerClient !== 'function' || typeof client.url !== 'string')) {
    throw invalid('client', 'type', 'client is not a BlobServiceClient of @azure/storage-blob')
  }
  if (credential !== undefined && typeof credential.getToken !== 'function') {
    throw invalid(
      'credential',
      'type',
      'credential has no getToken: give a credential of @azure/identity, or accountKey',
    )
  }
}

/** The caller's client, or one built from the options. Its endpoint is checked either way. */
export function serviceOf(options: AzureOptions): BlobServiceClient {
  const { endpoint, allowInsecure = false } = options
  const rules = { allowInsecure, allowLinkLocal: undefined, path: 'account' } as const
  if (endpoint !== undefined) checkEndpoint(endpoint, { ...rules, field: 'endpoint' })
  const service = options.client ?? build(options)
  const url = new URL(service.url)
  const field =
    options.client !== undefined ? 'client' : options.connectionString !== undefined ? 'connectionString' : 'endpoint'
  checkEndpoint(url.origin + url.pathname, { ...rules, field })
  return service
}

function build(options: AzureOptions): BlobServiceClient {
  const sdk = loadSdk<typeof import('@azure/storage-blob')>('@azure/storage-blob', 'holdfast/azure')
  const { connectionString, accountName = '', accountKey, sasToken, credential } = options
  const pipeline = { retryOptions: { maxTries: 1 }, userAgentOptions: { userAgentPrefix: 'holdfast' } }
  if (connectionString !== undefined) {
    try {
      return sdk.BlobServiceClient.fromConnectionString(connectionString, pipeline)
    } catch {
      // The client's own words may quote what was wrong.
      throw invalid(
        'connectionString',
        'format',
        'connectionString is not one of a storage account: BlobEndpoint, AccountName, AccountKey …',
      )
    }
  }
  const url = options.endpoint ?? `https://${accountName}.blob.core.windows.net`
  if (accountKey !== undefined) {
    return new sdk.BlobServiceClient(url, new sdk.StorageSharedKeyCredential(accountName, accountKey), pipeline)
  }
  if (credential !== undefined) return new sdk.BlobServiceClient(url, credential, pipeline)
  return new sdk.BlobServiceClient(
    `${url}?${(sasToken ?? '').replace(/^\?/, '')}`,
    new sdk.AnonymousCredential(),
    pipeline,
  )
}
