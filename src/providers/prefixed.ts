import { HoldfastError, invalid, shown } from '../core/errors.ts'
import { reservedPrefix } from '../core/key.ts'
import type { Provider, RemoteBody, RemoteEntry, RemoteObject } from '../core/provider.ts'

export interface PrefixedOptions {
  /** Default the inner provider's name, `/`, and the prefix. */
  readonly name?: string
}

const longestPrefixBytes = 256

/**
 * The part of a bucket whose keys begin with `prefix`, as a provider of its own: keys go in and come out without it, errors name
 * this provider and its keys. Drivers know nothing of prefixes.
 *
 * The prefix is put before the key as it is: `photos` and `cat` make `photoscat`; say `photos/` to mean a folder. An empty prefix is
 * the whole bucket. INVALID, field `prefix`, where it has a leading `/`, an empty, `.` or `..` segment, control characters, unpaired
 * surrogates, more than 256 bytes in UTF-8, or lies where the names reserved for Holdfast are.
 *
 * What `learn` tries out, the driver tries out where it was told to: that is the driver's own business, not moved by this.
 */
export function prefixed(inner: Provider, prefix: string, options: PrefixedOptions = {}): Provider {
  checkPrefix(prefix)
  if (prefix === '' && options.name === undefined) return inner
  const name = options.name ?? `${inner.name}/${prefix}`
  const bytes = Buffer.byteLength(prefix)

  /** Whether the key is one that has a name here: a "folder" object, called like the prefix itself, has none. */
  const isInside = (key: string): boolean => key.length > prefix.length && key.startsWith(prefix)
  const strip = (key: string): string => key.slice(prefix.length)
  const stripObject = (object: RemoteObject): RemoteObject => ({ ...object, key: strip(object.key) })

  function readdress(error: unknown): unknown {
    if (!(error instanceof HoldfastError) || error.provider !== inner.name) return error
    const key = error.key !== undefined && isInside(error.key) ? { key: strip(error.key) } : {}
    const details = Object.assign({}, error, { cause: error.cause, provider: name }, key)
    const moved = new HoldfastError(error.code, error.message, details)
    if (error.stack !== undefined) moved.stack = error.stack
    return moved
  }

  async function here<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      throw readdress(error)
    }
  }

  function hereEach<T>(items: AsyncIterable<T>): AsyncIterable<T> {
    return {
      [Symbol.asyncIterator]() {
        const iterator = items[Symbol.asyncIterator]()
        return {
          next: () => here(iterator.next()),
          async return() {
            if (iterator.return !== undefined) await here(iterator.return())
            return { done: true, value: undefined }
          },
        }
      },
    }
  }

  return {
    name,
    kind: inner.kind,
    location: prefix === '' ? inner.location : `${inner.location}/${prefix}`,
    limits: { ...inner.limits, keyBytes: inner.limits.keyBytes - bytes },
    get capabilities() {
      return inner.capabilities
    },

    refuseKey(key) {
      if (key === '') return { rule: 'length', message: 'is empty' }
      const refusal = inner.refuseKey(prefix + key)
      if (refusal === undefined || prefix === '') return refusal
      const message = `${refusal.message}, with the prefix ${shown(prefix)} before it`
      if (refusal.index === undefined) return { rule: refusal.rule, message }
      return { rule: refusal.rule, message, index: Math.max(0, refusal.index - prefix.length) }
    },

    ...(inner.refuseFeatures === undefined ? {} : { refuseFeatures: features => inner.refuseFeatures?.(features) }),
    learn: (remembered, signal) => here(inner.learn(remembered, signal)),
    put: (request, signal) => here(inner.put({ ...request, key: prefix + request.key }, signal)),

    async head(key, signal) {
      const object = await here(inner.head(prefix + key, signal))
      return object && stripObject(object)
    },

    async get(request, signal) {
      const found = await here(inner.get({ ...request, key: prefix + request.key }, signal))
      return found && movedBody(found)
    },

    delete: (key, token, signal) => here(inner.delete(prefix + key, token, signal)),

    async *list(request, signal) {
      const startAfter = request.startAfter === '' ? '' : prefix + request.startAfter
      const entries = inner.list({ ...request, prefix: prefix + request.prefix, startAfter }, signal)
      for await (const entry of hereEach(entries)) {
        const moved = movedEntry(entry)
        if (moved !== undefined) yield moved
      }
    },

    sign: (request, signal) => here(inner.sign({ ...request, key: prefix + request.key }, signal)),
    abandon: (key, upload, signal) => here(inner.abandon(prefix + key, upload, signal)),
    classify: error => (error instanceof HoldfastError ? error : (readdress(inner.classify(error)) as HoldfastError)),
  }

  function movedBody(found: RemoteBody): RemoteBody {
    const { start, end } = found
    return {
      object: stripObject(found.object),
      start,
      end,
      body: hereEach(found.body),
      close: () => here(found.close()),
    }
  }

  function movedEntry(entry: RemoteEntry): RemoteEntry | undefined {
    if (entry.type === 'prefix') return { type: 'prefix', prefix: strip(entry.prefix) }
    return isInside(entry.key) ? { ...entry, key: strip(entry.key) } : undefined
  }
}

function checkPrefix(prefix: string): void {
  const refuse = (rule: string, what: string): HoldfastError =>
    invalid('prefix', rule, `the prefix ${shown(prefix)} ${what}`)
  if (prefix === '') return
  if (!prefix.isWellFormed()) throw refuse('unicode', 'has an unpaired surrogate')
  const bytes = Buffer.byteLength(prefix)
  if (bytes > longestPrefixBytes) throw refuse('length', `is ${bytes} bytes, limit ${longestPrefixBytes}`)
  if (/\p{Cc}/u.test(prefix)) throw refuse('control', 'has a control character')
  if (prefix.startsWith('/')) throw refuse('slash', 'begins with "/"')
  const segments = prefix.endsWith('/') ? prefix.slice(0, -1).split('/') : prefix.split('/')
  if (segments.includes('')) throw refuse('slash', 'has an empty segment')
  if (segments.includes('.') || segments.includes('..')) throw refuse('segment', 'has a "." or ".." segment')
  // `.hold` is refused too: with the key `fast/identity` it would be a reserved name.
  if (prefix.startsWith(reservedPrefix) || reservedPrefix.startsWith(prefix)) {
    throw refuse('reserved', `lies in ${reservedPrefix}, which belongs to Holdfast`)
  }
}
