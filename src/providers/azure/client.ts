import type { BlobServiceClient, ContainerClient, PipelineLike } from '@azure/storage-blob'
import { HoldfastError } from '../../core/errors.ts'
import type { Carried } from '../carried.ts'

/** Bytes of an answer's body that are read at most, where it is not an object: of an error, and of a listing of 5,000 blobs with metadata. */
const mostErrorBytes = 65_536
const mostAnswerBytes = 134_217_728

/**
 * A client for one container, on the caller's account, credentials, HTTP client and request policies, but a pipeline of its own: it
 * tries once, follows no redirect (the official client follows those within the origin, PUTs with them), never asks the secondary
 * host, and reads no more of an answer than an answer can have. The caller's client is not touched.
 *
 * What the caller added to the inner pipeline of the client by hand (`addPolicy`) is not taken over; what was given to its
 * constructor is. UNSUPPORTED where the client does not let its pipeline be read: not a client of @azure/storage-blob 12.26 or newer.
 */
export function quietContainer(service: BlobServiceClient, container: string, carried: Carried): ContainerClient {
  // First, since of a client that is strange any other call may throw what it likes.
  const pipeline = quietPipeline(service, pipelineOf(service))
  const theirs = service.getContainerClient(container)
  const Container = theirs.constructor as new (url: string, pipeline: PipelineLike) => ContainerClient
  return quieted(new Container(theirs.url, pipeline), service, carried)
}

/** The same for the account, which alone can be asked for a user delegation key. */
export function quietService(service: BlobServiceClient, carried: Carried): BlobServiceClient {
  const pipeline = quietPipeline(service, pipelineOf(service))
  const Service = service.constructor as new (url: string, pipeline: PipelineLike) => BlobServiceClient
  return quieted(new Service(service.url, pipeline), service, carried)
}

function pipelineOf(client: BlobServiceClient): PipelineLike {
  const { pipeline } = client as unknown as { readonly pipeline?: PipelineLike }
  if (!Array.isArray(pipeline?.factories) || typeof pipeline.options !== 'object') throw strange()
  return pipeline
}

/**
 * Read in storage-blob 12.26 to 12.34, `Pipeline.js`: a pipeline is its options and its factories, from which each client makes an
 * inner one, once. Credentials are found among the factories, as they were before there was `newPipeline`.
 */
function quietPipeline(service: BlobServiceClient, theirs: PipelineLike): PipelineLike {
  const { credential } = service
  const isToken = 'getToken' in credential
  const carrier = isToken ? { credential, create: (next: unknown) => next } : credential
  const factories = [carrier as PipelineLike['factories'][number], ...theirs.factories]
  const { retryOptions } = theirs.options as { readonly retryOptions?: object }
  const options = { ...theirs.options, retryOptions: { ...retryOptions, maxTries: 1, secondaryHost: '' } }
  return {
    factories,
    options,
    toServiceClientOptions: () => ({
      requestPolicyFactories: factories,
      ...(options.httpClient === undefined ? {} : { httpClient: options.httpClient }),
    }),
  }
}

/** The inner pipeline of @azure/core-rest-pipeline, as far as it is used here. */
interface CorePipeline {
  addPolicy(policy: CorePolicy, options: { readonly afterPhase: 'Sign' }): void
  removePolicy(which: { readonly name: string }): unknown
}

interface CorePolicy {
  readonly name: string
  sendRequest(request: CoreRequest, next: (request: CoreRequest) => Promise<CoreResponse>): Promise<CoreResponse>
}

interface CoreRequest {
  readonly url: string
  readonly headers: { toJSON(): Record<string, string> }
  streamResponseStatusCodes?: Set<number> | undefined
}

interface CoreResponse {
  readonly status: number
  bodyAsText?: string | null | undefined
  readableStreamBody?: (AsyncIterable<Uint8Array> & { destroy?(): unknown }) | undefined
}

function quieted<Client extends ContainerClient | BlobServiceClient>(
  client: Client,
  service: BlobServiceClient,
  carried: Carried,
): Client {
  const { storageClientContext: context } = client as unknown as {
    readonly storageClientContext?: { readonly pipeline?: CorePipeline }
  }
  const core = context?.pipeline
  const isKnown = typeof core?.addPolicy === 'function' && typeof core.removePolicy === 'function'
  const isAnonymous = !('getToken' in service.credential) && !('accountName' in service.credential)
  if (!isKnown || (!isAnonymous && client.credential !== service.credential)) throw strange()
  core.removePolicy({ name: 'redirectPolicy' })
  core.addPolicy(innermost(carried), { afterPhase: 'Sign' })
  return client
}

/** Remembers what is sent; takes every answer as a stream, and reads those that the layers above want as text, up to a limit. */
function innermost(carried: Carried): CorePolicy {
  return {
    name: 'holdfastBoundedAnswers',
    async sendRequest(request, next) {
      carried.note(request.headers.toJSON(), request.url)
      const streamed = request.streamResponseStatusCodes
      request.streamResponseStatusCodes = new Set([Number.POSITIVE_INFINITY])
      const response = await next(request).finally(() => {
        request.streamResponseStatusCodes = streamed
      })
      const { status, readableStreamBody: body } = response
      if (body === undefined || streamed?.has(status) || streamed?.has(Number.POSITIVE_INFINITY)) return response
      response.bodyAsText = await textOf(body, status)
      delete response.readableStreamBody
      return response
    },
  }
}

async function textOf(body: AsyncIterable<Uint8Array>, status: number): Promise<string> {
  const isGood = status >= 200 && status < 300
  const chunks: Uint8Array[] = []
  let bytes = 0
  // Leaving the loop closes the connection.
  for await (const chunk of body) {
    bytes += chunk.byteLength
    if (bytes > (isGood ? mostAnswerBytes : mostErrorBytes)) {
      if (isGood) throw Object.assign(new Error('the answer does not end'), { code: 'HPE_BODY_OVERFLOW' })
      // What is cut short cannot be parsed. Errors of the service are short, and say what they are in a header.
      return ''
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function strange(): HoldfastError {
  return new HoldfastError('UNSUPPORTED', 'client is not a BlobServiceClient of @azure/storage-blob 12.26 or newer', {
    field: 'client',
    rule: 'version',
    outcome: 'rejected',
  })
}
