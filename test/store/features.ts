import type { ProviderFeatures, S3Features } from '../../src/core/features.ts'
import { etagOfParts, pieces } from '../../src/core/layout.ts'
import { digestsOf } from '../../src/core/digest.ts'
import { noMemo, type Provider, type PutRequest, type RemoteObject } from '../../src/core/provider.ts'
import { bytesSource, readRange } from '../../src/core/source.ts'
import { memory } from '../../src/providers/memory.ts'

const never = new AbortController().signal

/** A memory provider that keeps all features and parts, says so in its answers and its listing, and can be away. */
export function keeper(name: string, kind = 's3') {
  const inner = memory({ name })
  const puts: PutRequest[] = []
  const kept = new Map<string, { readonly etag: string; readonly features: S3Features | undefined }>()
  const away = { is: false }
  const demandThere = (): void => {
    if (away.is) throw Object.assign(new Error('away'), { code: 'ECONNREFUSED' })
  }
  const told = (object: RemoteObject): RemoteObject => {
    const { etag = object.etag, features } = kept.get(object.key) ?? {}
    return { ...object, etag, attested: {}, ...(features === undefined ? {} : { features }) }
  }
  const provider: Provider = {
    ...inner,
    kind,
    refuseFeatures: () => undefined,
    async put(request, signal) {
      demandThere()
      const { key, source, parts = [], features } = request
      const md5s: string[] = []
      for (const { start, end } of pieces(parts)) md5s.push(digestsOf(await readRange(source, start, end)).md5)
      const result = await inner.put(request, signal)
      puts.push(request)
      const etag = md5s.length > 1 ? etagOfParts(md5s) : source.md5
      kept.set(key, { etag, features: features?.s3 })
      return { ...result, etag }
    },
    async head(key, signal) {
      demandThere()
      const found = await inner.head(key, signal)
      return found && told(found)
    },
    async get(request, signal) {
      demandThere()
      const found = await inner.get(request, signal)
      return found && { ...found, object: told(found.object) }
    },
    async *list(request, signal) {
      demandThere()
      for await (const entry of inner.list(request, signal)) {
        if (entry.type === 'prefix') {
          yield entry
          continue
        }
        const { etag, features } = kept.get(entry.key) ?? {}
        const StorageClass = features?.StorageClass
        yield { ...entry, etag, attested: {}, ...(StorageClass === undefined ? {} : { storageClass: StorageClass }) }
      }
    },
  }
  const sent = (key: string): PutRequest | undefined => puts.findLast(put => put.key === key)
  return { provider, inner, puts, sent, away }
}

/** An object that somebody put at the provider, past Holdfast. */
export async function putPast(
  provider: Provider,
  key: string,
  bytes: Buffer,
  more: {
    readonly metadata?: Readonly<Record<string, string>>
    readonly features?: ProviderFeatures
    readonly parts?: PutRequest['parts']
  } = {},
): Promise<void> {
  const { metadata = {}, features, parts } = more
  await provider.put(
    {
      key,
      source: bytesSource(bytes, digestsOf(bytes)),
      headers: { contentType: 'text/plain' },
      metadata,
      condition: undefined,
      upload: noMemo,
      ...(features === undefined ? {} : { features }),
      ...(parts === undefined ? {} : { parts }),
    },
    never,
  )
}
