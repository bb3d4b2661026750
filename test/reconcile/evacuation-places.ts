import type { Provider } from '../../src/core/provider.ts'
import { fs } from '../../src/providers/fs.ts'
import { s3 } from '../../src/providers/s3.ts'
import { faulty } from '../../src/testing/faulty.ts'

interface S3Place {
  readonly endpoint: string
  readonly id: string
  readonly secret: string
}

/** Where the three providers are, by what a child process needs to reach them. */
export type Places =
  /** The banned one is refused in the child itself. */
  | { readonly are: 'directories'; readonly root: string }
  /** Local S3 servers; the banned one answers 403 to everything. */
  | { readonly are: 'servers'; readonly banned: S3Place; readonly survivor: S3Place; readonly fresh: S3Place }

export const bucket = 'photos'

/** Banned, survivor, fresh. */
export function providersAt(places: Places): [Provider, Provider, Provider] {
  if (places.are === 'directories') {
    const at = (name: string) => fs({ root: `${places.root}/${name}`, name })
    const fault = { kind: 'fail', code: 'DENIED', reason: 'ACCOUNT', message: 'the account is closed' } as const
    return [faulty(at('banned'), { rules: [{ fault }] }), at('survivor'), at('fresh')]
  }
  const at = (name: string, { endpoint, id, secret }: S3Place) =>
    s3({
      bucket,
      name,
      endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: id, secretAccessKey: secret },
    })
  return [at('banned', places.banned), at('survivor', places.survivor), at('fresh', places.fresh)]
}

/** What is there before: keys in no order, from a few bytes to three times the mean. */
export function objectsOf(
  count: number,
  meanBytes: number,
): readonly { readonly key: string; readonly size: number }[] {
  const parts = [0.02, 0.2, 0.3, 0.5, 1, 1, 3, 1.98]
  return Array.from({ length: count }, (_, n) => ({
    key: `photos/${String((n * 7919) % 1_000_000).padStart(6, '0')}-${n}`,
    size: Math.floor(meanBytes * (parts[n % parts.length] ?? 1)),
  }))
}

/** Bytes that follow from the seed, all different. */
export function bodyOf(seed: string, size: number): Buffer {
  const body = Buffer.alloc(size)
  const line = Buffer.from(`${seed}\n`)
  for (let at = 0; at < size; at += line.byteLength) line.copy(body, at)
  if (size >= 8) body.writeDoubleLE(size * 1.000_1, size - 8)
  return body
}
