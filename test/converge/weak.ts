import { HoldfastError } from '../../src/core/errors.ts'
import type { Capabilities, Provider, PutCondition } from '../../src/core/provider.ts'

/** What a service may lack. */
export type Weakness = 'createIfAbsent' | 'replaceIf' | 'deleteIf' | 'uniqueTokens'

/**
 * The inner provider as a service that cannot do all that it can: it says so, and what it is asked all the same it does without looking. Without
 * unique tokens, a token is the MD5 of the bytes: a condition passes over another write of the same bytes.
 */
export function weak(inner: Provider, lacks: ReadonlySet<Weakness>): Provider {
  const without = Object.fromEntries([...lacks].map(name => [name, false]))
  const capabilities: Capabilities = { ...inner.capabilities, ...without }

  const shown = <T extends { readonly token: string; readonly etag: string | undefined }>(object: T): T =>
    lacks.has('uniqueTokens') ? { ...object, token: object.etag ?? object.token } : object

  /** The token that the inner provider knows what is there by, if that has this one. */
  async function innerToken(key: string, token: string, signal: AbortSignal): Promise<string> {
    if (!lacks.has('uniqueTokens')) return token
    const found = await inner.head(key, signal)
    return found !== undefined && shown(found).token === token ? found.token : 'none'
  }

  async function innerCondition(
    key: string,
    condition: PutCondition | undefined,
    signal: AbortSignal,
  ): Promise<PutCondition | undefined> {
    if (condition === undefined) return undefined
    if ('absent' in condition) return lacks.has('createIfAbsent') ? undefined : condition
    return lacks.has('replaceIf') ? undefined : { token: await innerToken(key, condition.token, signal) }
  }

  return {
    ...inner,
    capabilities,
    learn: async (_remembered, signal) => {
      signal.throwIfAborted()
      return capabilities
    },
    async put(request, signal) {
      const condition = await innerCondition(request.key, request.condition, signal)
      return shown(await inner.put({ ...request, condition }, signal))
    },
    async head(key, signal) {
      const found = await inner.head(key, signal)
      return found && shown(found)
    },
    async get(request, signal) {
      const { key, token } = request
      const pinned = token === undefined ? undefined : await innerToken(key, token, signal)
      const found = await inner.get({ ...request, token: pinned }, signal)
      return found && { ...found, object: shown(found.object) }
    },
    async delete(key, token, signal) {
      if (token === undefined || lacks.has('deleteIf')) return inner.delete(key, undefined, signal)
      if ((await inner.head(key, signal)) === undefined) return inner.delete(key, undefined, signal)
      return inner.delete(key, await innerToken(key, token, signal), signal)
    },
    async *list(request, signal) {
      for await (const entry of inner.list(request, signal))
        yield entry.type === 'object' && lacks.has('uniqueTokens') ? { ...entry, token: entry.etag } : entry
    },
    classify: error => (error instanceof HoldfastError ? error : inner.classify(error)),
  }
}
