import type { Provider } from '../../src/core/provider.ts'
import { gcs } from '../../src/providers/gcs.ts'
import { s3 } from '../../src/providers/s3.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'

/** Two local clouds, by what a child process needs to reach them. */
export interface Clouds {
  readonly s3: { readonly endpoint: string; readonly id: string; readonly secret: string }
  readonly gcs: { readonly endpoint: string }
}

export interface Started extends AsyncDisposable {
  readonly s3: LocalCloud
  readonly gcs: LocalCloud
  readonly clouds: Clouds
}

export const bucket = 'photos'

/** Each in a process of its own, with objects on disk where a directory is given. */
export async function startClouds(directory?: string): Promise<Started> {
  const options = (name: string) => ({
    buckets: [bucket],
    process: 'own' as const,
    ...(directory === undefined ? {} : { directory: `${directory}/${name}` }),
  })
  const local = await startLocalS3(options('s3'))
  const google = await startLocalGcs(options('gcs'))
  return {
    s3: local,
    gcs: google,
    clouds: {
      s3: { endpoint: local.endpoint, ...local.credentials },
      gcs: { endpoint: google.endpoint },
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([local.stop(), google.stop()])
    },
  }
}

export function providersOf({ s3: amazon, gcs: google }: Clouds): [Provider, Provider] {
  return [
    s3({
      bucket,
      name: 's3',
      endpoint: amazon.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: amazon.id, secretAccessKey: amazon.secret },
    }),
    gcs({ bucket, name: 'gcs', apiEndpoint: google.endpoint, projectId: 'test' }),
  ]
}
