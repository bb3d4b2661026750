import type { S3Client } from '@aws-sdk/client-s3'

/**
 * Where S3 says that an object is, by the client's own rules for addresses. `undefined` where the client cannot say: without a region it could
 * not have sent anything either.
 */
export async function locationOf(config: S3Client['config'], bucket: string, key: string): Promise<string | undefined> {
  try {
    const own = await config.endpoint?.()
    const port = own?.port === undefined ? '' : `:${own.port}`
    const { url } = config.endpointProvider({
      Bucket: bucket,
      Region: await config.region(),
      UseFIPS: await config.useFipsEndpoint(),
      UseDualStack: await config.useDualstackEndpoint(),
      ForcePathStyle: config.forcePathStyle,
      Accelerate: config.useAccelerateEndpoint,
      ...(own === undefined ? {} : { Endpoint: `${own.protocol}//${own.hostname}${port}${own.path}` }),
    })
    const path = key.split('/').map(encoded).join('/')
    return `${url.href.replace(/\/$/, '')}/${path}`
  } catch {
    return undefined
  }
}

/** As the SDK writes it in a path: also what `encodeURIComponent` leaves. */
function encoded(segment: string): string {
  return encodeURIComponent(segment).replace(/[!'()*]/g, mark => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)
}
