import { join } from 'node:path'
import type { Provider } from '../src/index.ts'
import { gcs } from '../src/providers/gcs.ts'
import { s3 } from '../src/providers/s3.ts'
import type { LocalCloud } from '../src/testing/local/cloud.ts'
import { startLocalGcs } from '../src/testing/local/gcs/start.ts'
import { startLocalS3 } from '../src/testing/local/s3/index.ts'

/** How to reach the two clouds; passes through a command line. */
export interface Clouds {
  readonly s3: { readonly endpoint: string; readonly id: string; readonly secret: string }
  readonly gcs: { readonly endpoint: string }
}

export interface RunningClouds {
  readonly primary: LocalCloud
  readonly secondary: LocalCloud
  readonly clouds: Clouds
  stop(): Promise<void>
}

const bucket = 'photos'

/** What status() and events call them. */
export const names = { primary: 's3', secondary: 'gcs' } as const

/** Each a process of its own on a free port, with its objects in a directory of its own below this one. */
export async function startClouds(directory: string): Promise<RunningClouds> {
  const options = (name: string) => ({ buckets: [bucket], process: 'own', directory: join(directory, name) }) as const
  const started = await Promise.allSettled([startLocalS3(options('s3')), startLocalGcs(options('gcs'))])
  const stop = async () => {
    for (const each of started) if (each.status === 'fulfilled') await each.value.stop()
  }
  const [primary, secondary] = started
  if (primary.status === 'rejected' || secondary.status === 'rejected') {
    await stop()
    throw (primary as PromiseRejectedResult).reason ?? (secondary as PromiseRejectedResult).reason
  }
  return {
    primary: primary.value,
    secondary: secondary.value,
    clouds: {
      s3: { endpoint: primary.value.endpoint, ...primary.value.credentials },
      gcs: { endpoint: secondary.value.endpoint },
    },
    stop,
  }
}

/** As an app would name its two buckets. */
export function providersOf(clouds: Clouds): { readonly primary: Provider; readonly secondary: Provider } {
  return {
    primary: s3({
      bucket,
      name: names.primary,
      endpoint: clouds.s3.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: clouds.s3.id, secretAccessKey: clouds.s3.secret },
    }),
    secondary: gcs({ bucket, name: names.secondary, apiEndpoint: clouds.gcs.endpoint, projectId: 'demo' }),
  }
}
