import { isAbsolute } from 'node:path'
import type { Provider } from '../index.ts'
import { azure, type AzureOptions } from '../providers/azure.ts'
import { fs } from '../providers/fs.ts'
import { gcs, type GcsOptions } from '../providers/gcs.ts'
import { s3, type S3Options } from '../providers/s3.ts'
import { suggestion } from '../core/suggest.ts'
import { Usage } from './failure.ts'
import type { Io } from './io.ts'

/** What a value behind `?` is read as. Never anything that lets somebody in. */
type Kind = 'text' | 'number' | 'flag'

interface Service {
  /** What stands behind the colon. */
  readonly place: string
  readonly options: Readonly<Record<string, Kind>>
  /** How to get in, for whoever wrote a secret into the flag. */
  readonly wayIn: string
  make(place: string, options: Readonly<Record<string, string | number | boolean>>, env: Io['env']): Provider
}

const services: Readonly<Record<string, Service>> = {
  s3: {
    place: 'bucket',
    options: {
      prefix: 'text',
      name: 'text',
      preset: 'text',
      region: 'text',
      endpoint: 'text',
      account: 'text',
      forcePathStyle: 'flag',
      partSize: 'number',
      multipartThreshold: 'number',
      allowInsecure: 'flag',
      allowLinkLocal: 'flag',
    },
    wayIn: 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of the machine',
    make: (bucket, options) => s3({ ...options, bucket } as S3Options),
  },
  gcs: {
    place: 'bucket',
    options: {
      prefix: 'text',
      name: 'text',
      apiEndpoint: 'text',
      endpoint: 'text',
      projectId: 'text',
      userProject: 'text',
      partSize: 'number',
      multipartThreshold: 'number',
      allowInsecure: 'flag',
    },
    wayIn: 'GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login`, or the account of the machine',
    make: (bucket, { endpoint, ...options }) =>
      gcs({ ...(endpoint === undefined ? {} : { apiEndpoint: endpoint }), ...options, bucket } as GcsOptions),
  },
  azure: {
    place: 'container',
    options: {
      prefix: 'text',
      name: 'text',
      account: 'text',
      accountName: 'text',
      endpoint: 'text',
      blockSize: 'number',
      singleShotBytes: 'number',
      allowInsecure: 'flag',
    },
    wayIn:
      'AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN',
    make: (container, { account, ...options }, env) => {
      const { accountName = account } = options
      const named = accountName === undefined ? {} : { accountName }
      const isNamed = accountName !== undefined || options['endpoint'] !== undefined
      return azure({ ...wayIntoAzure(env, isNamed), ...options, ...named, container } as AzureOptions)
    },
  },
  fs: {
    place: '/absolute/root',
    options: { name: 'text' },
    wayIn: 'the rights of the user that runs holdfast',
    make: (root, options) => fs({ ...options, root }),
  },
}

/** Names that have no place in a flag: everybody on the machine sees them in the list of processes, and the shell keeps them. */
const secret = /key|secret|token|credential|password|passwd|connectionstring|sas|sig(nature)?$/i

/**
 * A provider out of `s3:bucket?region=…&name=…`, `gcs:bucket?…`, `azure:container?…` or `fs:/absolute/root?name=…`. Credentials come from where
 * the SDK of each service looks by itself. Usage where it is none of these; the message never shows what may be a secret. `where` is the flag or
 * the option that it stands in.
 */
export function providerOf(spec: string, where: string, env: Io['env']): Provider {
  const colon = spec.indexOf(':')
  const kind = spec.slice(0, Math.max(0, colon))
  const service = Object.hasOwn(services, kind) ? services[kind] : undefined
  if (service === undefined) {
    const names = Object.keys(services)
    const wanted = 's3:bucket?region=…, gcs:bucket, azure:container or fs:/absolute/root'
    const meant = kind === '' ? '' : `${JSON.stringify(kind)} is no kind of provider${suggestion(kind, names)}; `
    throw new Usage(`${where}: ${meant}write ${wanted}`)
  }
  const [place = '', ...queries] = spec.slice(colon + 1).split('?')
  const says = (what: string) => new Usage(`${where}: ${what}`)
  if (place === '' || queries.length > 1) throw says(`write ${kind}:${service.place}?name=value&name=value`)
  if (kind !== 'fs' && /[@/]/.test(place) && !place.startsWith('arn:')) {
    throw says(`after ${kind}: comes the name of the ${service.place} alone; a prefix goes behind it as ?prefix=…`)
  }
  if (kind === 'fs' && !isAbsolute(place)) throw says(`after fs: comes an absolute path, such as fs:/mnt/copy`)
  const options: Record<string, string | number | boolean> = {}
  for (const [name, value] of new URLSearchParams(queries[0] ?? '')) {
    if (secret.test(name)) throw says(`no credentials in flags (${plainName(name)}): use ${service.wayIn}`)
    const type = Object.hasOwn(service.options, name) ? service.options[name] : undefined
    if (type === undefined) {
      throw says(`${kind}: has no option ${plainName(name)}${suggestion(name, Object.keys(service.options))}`)
    }
    if (Object.hasOwn(options, name)) throw says(`${name} is given twice`)
    if (/:\/\/[^/]*@/.test(value)) throw says(`no credentials in flags (${name}): use ${service.wayIn}`)
    options[name] = valueOf(type, value, () => says(`${name} wants ${type === 'flag' ? 'true or false' : 'a number'}`))
  }
  try {
    return service.make(decodeURIComponent(place), options, env)
  } catch (error) {
    throw new Usage(`${where}: ${(error as Error).message}`, { cause: error })
  }
}

function valueOf(type: Kind, value: string, refuse: () => Usage): string | number | boolean {
  switch (type) {
    case 'text':
      return value
    case 'number': {
      const number = Number(value)
      if (value === '' || !Number.isFinite(number)) throw refuse()
      return number
    }
    case 'flag':
      if (value !== 'true' && value !== 'false') throw refuse()
      return value === 'true'
    default:
      return type satisfies never
  }
}

/** As the tools of Azure read it; its SDK has no such habit of its own. `isNamed`: the flag says which account, so that a connection string is not meant. */
function wayIntoAzure(env: Io['env'], isNamed: boolean): Partial<AzureOptions> {
  const connectionString = env['AZURE_STORAGE_CONNECTION_STRING']
  if (connectionString !== undefined && !isNamed) return { connectionString }
  const accountName = isNamed ? undefined : env['AZURE_STORAGE_ACCOUNT']
  const named = accountName === undefined ? {} : { accountName }
  const accountKey = env['AZURE_STORAGE_KEY']
  const sasToken = env['AZURE_STORAGE_SAS_TOKEN']
  if (accountKey !== undefined) return { ...named, accountKey }
  if (sasToken !== undefined) return { ...named, sasToken }
  throw new Error('no way into the account: set AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN')
}

function plainName(name: string): string {
  return /^[\w.-]{1,40}$/.test(name) ? name : 'a name that is none'
}
