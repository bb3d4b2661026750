import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { S3Client } from '@aws-sdk/client-s3'
import { HoldfastError, invalid } from '../../core/errors.ts'
import { checkEndpoint, guardedLookup } from '../endpoint.ts'
import { onlyOnce, type Sdk } from './call.ts'
import type { S3Options } from './options.ts'
import { presets } from './presets.ts'

/** A client, and what is known of where it goes. */
export interface Place {
  readonly client: S3Client
  /** The same in every process: `s3.amazonaws.com`, or host and port of the endpoint. */
  readonly where: string
  readonly pathStyle: boolean
  /** Amazon's own service for sure, and nothing that stands in for it. */
  readonly isAmazon: boolean
}

const amazon = 's3.amazonaws.com'

/** Sockets of one provider at most. The SDK's 50 are soon taken by answers that somebody reads slowly. */
const maxSockets = 512
const connectionTimeout = 5_000

/** The client that was given, or one of our own: one attempt, no checksums of its own, no redirects. */
export function placeOf(sdk: Sdk, options: S3Options): Place {
  return options.client === undefined ? ownPlace(sdk, options) : givenPlace(sdk, options.client, options)
}

function ownPlace(sdk: Sdk, options: S3Options): Place {
  const preset = presets[options.preset ?? 'aws']
  const address =
    options.endpoint ??
    preset.endpoint?.replace(/\{(region|account)\}/g, (_all, name: 'region' | 'account') => {
      const value = options[name]
      if (value === undefined) throw invalid(name, 'missing', `the endpoint of preset ${options.preset} wants ${name}`)
      return value
    })
  if (address === undefined && options.preset !== undefined && options.preset !== 'aws') {
    throw invalid('endpoint', 'missing', `preset ${options.preset} wants endpoint: it is a server of your own`)
  }
  const { allowInsecure = false, allowLinkLocal = false } = options
  const rules = { field: 'endpoint', allowInsecure, allowLinkLocal, path: 'none' } as const
  const endpoint = address === undefined ? undefined : checkEndpoint(address, rules)
  const region = options.region ?? preset.region ?? (endpoint === undefined ? undefined : 'us-east-1')
  const pathStyle =
    options.forcePathStyle ?? preset.pathStyle ?? (options.endpoint !== undefined && options.preset === undefined)
  const agent = { keepAlive: true, maxSockets, ...(allowLinkLocal ? {} : { lookup: guardedLookup }) }
  const client = new sdk.S3Client({
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    followRegionRedirects: false,
    expectContinueHeader: false,
    forcePathStyle: pathStyle,
    // Where requests go is said here, not by the environment.
    ignoreConfiguredEndpointUrls: true,
    logger: silent,
    requestHandler: {
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent(agent),
      connectionTimeout,
      requestTimeout: 0,
      socketTimeout: 0,
      logger: silent,
    },
    ...(endpoint === undefined ? {} : { endpoint: endpoint.origin }),
    ...(region === undefined ? {} : { region }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
  })
  for (const name of idle) client.middlewareStack.remove(name)
  return { client, where: endpoint?.host ?? amazon, pathStyle, isAmazon: endpoint === undefined }
}

function givenPlace(sdk: Sdk, client: S3Client, options: S3Options): Place {
  checkGiven(sdk, client)
  const { isCustomEndpoint = client.config.endpoint !== undefined, forcePathStyle } = client.config
  const isAmazon = options.preset === 'aws'
  const where = options.service ?? (isCustomEndpoint ? (options.preset ?? 'client') : amazon)
  return { client, where, pathStyle: forcePathStyle === true, isAmazon }
}

/** A client of another release may not know what to do with our commands; then every call would fail, or retry. */
function checkGiven(sdk: Sdk, client: S3Client): void {
  const probe = new sdk.HeadBucketCommand({ Bucket: 'bucket' })
  if ('schema' in probe && probe.schema !== undefined && client.config.protocol === undefined) {
    throw invalid(
      'client',
      'release',
      'client comes from an older @aws-sdk/client-s3 than the one that is installed: have one of them',
    )
  }
  onlyOnce(probe)
  try {
    client.middlewareStack.concat(probe.middlewareStack)
  } catch (error) {
    throw new HoldfastError('UNSUPPORTED', 'the retries of this client cannot be switched off for a call', {
      field: 'client',
      rule: 'retries',
      outcome: 'rejected',
      cause: error,
    })
  }
}

/** Of no use with these options, and of a small answer's time a measurable part: the first copies every input and output for a log that is none. */
const idle = ['loggerMiddleware', 'regionRedirectMiddleware', 'addExpectContinueMiddleware']

/** The SDK writes warnings to the console unless somebody takes them. What they warn of is the driver's business. */
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }
