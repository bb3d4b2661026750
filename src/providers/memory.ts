import { compareKeys } from '../core/key.ts'
import type { Clock } from '../core/ports.ts'
import type { Capabilities, Provider, RemoteEntry, RemoteObject } from '../core/provider.ts'
import { HoldfastError } from '../core/errors.ts'
import { cutRange } from '../core/range.ts'
import { systemClock } from '../core/system.ts'
import { verified } from './body.ts'
import { errorMaker } from './errors.ts'
import { privateOnly, refuseUnequal } from './features.ts'
import { refuseAnywhere } from './keys.ts'
import { checkOptions, type OptionType } from './options.ts'

/** All may be left out. */
export interface MemoryOptions {
  /** Default `memory:1`, `memory:2`, … in the order in which this process makes them. */
  readonly name?: string
  /** For last-modified and server times. Default the machine's. */
  readonly clock?: Clock
}

interface Stored {
  readonly object: Omit<RemoteObject, 'serverTime'>
  readonly bytes: Uint8Array
}

const capabilities: Capabilities = {
  createIfAbsent: true,
  replaceIf: true,
  deleteIf: true,
  uniqueTokens: true,
  readIf: true,
  attests: ['crc32c', 'md5'],
  sign: false,
  listsAtOnce: true,
  quirks: {},
}

const types = { name: 'string', clock: 'object' } as const satisfies Record<keyof MemoryOptions, OptionType>

const keyBytes = 1024
const chunkBytes = 65_536
let made = 0

/**
 * Keeps objects in this process, and forgets them with it. For tests, and as the shortest example of a provider. INVALID, rule `unknown`,
 * for an option that it does not know.
 */
export function memory(options: MemoryOptions = {}): Provider {
  checkOptions('memory', options, types)
  const { name = `memory:${++made}` } = options
  const clock = options.clock ?? systemClock
  const errors = errorMaker(name)
  const objects = new Map<string, Stored>()
  let writes = 0

  /** Between this check and the change that it allows nothing may be awaited: that makes conditions atomic. */
  function demand(key: string, token: string | undefined): void {
    if (objects.get(key)?.object.token !== token) throw errors.condition(key)
  }

  return {
    name,
    kind: 'memory',
    location: options.name === undefined ? name : `memory:named:${name}`,
    limits: { objectBytes: 5 * 2 ** 40, keyBytes, metadata: { bytes: 8192, holds: () => true } },
    capabilities,

    refuseKey: key => refuseAnywhere(key, keyBytes),
    refuseFeatures: features => refuseUnequal(features, privateOnly, name),

    async learn(_remembered, signal) {
      signal.throwIfAborted()
      return capabilities
    },

    async put({ key, source, headers, metadata, condition }, signal) {
      signal.throwIfAborted()
      const chunks: Uint8Array[] = []
      for await (const chunk of verified(source, key, errors, signal)) chunks.push(Uint8Array.from(chunk))
      if (condition !== undefined) demand(key, 'absent' in condition ? undefined : condition.token)
      const now = clock.now()
      const object = {
        key,
        size: source.size,
        token: String(++writes),
        etag: source.md5,
        modifiedAt: new Date(now),
        headers: { ...headers },
        metadata: copyMetadata(metadata),
        attested: { crc32c: source.crc32c, md5: source.md5 },
      }
      objects.set(key, { object, bytes: Buffer.concat(chunks) })
      return { token: object.token, etag: object.etag, proof: 'server-full', serverTime: now }
    },

    async head(key, signal) {
      signal.throwIfAborted()
      const stored = objects.get(key)
      return stored && { ...stored.object, serverTime: clock.now() }
    },

    async get({ key, range, token }, signal) {
      signal.throwIfAborted()
      const stored = objects.get(key)
      if (stored === undefined) return undefined
      if (token !== undefined) demand(key, token)
      const cut = cutRange(range, stored.bytes.byteLength)
      if (cut === undefined) throw errors.range(key, stored.bytes.byteLength)
      return {
        object: { ...stored.object, serverTime: clock.now() },
        ...cut,
        body: slices(stored.bytes.subarray(cut.start, cut.end), signal),
        close: async () => {},
      }
    },

    async delete(key, token, signal) {
      signal.throwIfAborted()
      if (token !== undefined && objects.has(key)) demand(key, token)
      objects.delete(key)
      return { serverTime: clock.now() }
    },

    async *list({ prefix, delimiter, startAfter }, signal) {
      let folded: string | undefined
      for (const key of [...objects.keys()].sort(compareKeys)) {
        signal.throwIfAborted()
        if (!key.startsWith(prefix) || compareKeys(key, startAfter) <= 0) continue
        const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
        if (at < 0) {
          const stored = objects.get(key)
          if (stored !== undefined) yield entryOf(stored)
        } else if (folded === undefined || !key.startsWith(folded)) {
          folded = key.slice(0, at + delimiter.length)
          yield { type: 'prefix', prefix: folded }
        }
      }
      signal.throwIfAborted()
    },

    async sign(request, signal) {
      signal.throwIfAborted()
      throw errors.unsupported('sign requests: nothing serves it', request.key)
    },

    async abandon(_key, _upload, signal) {
      signal.throwIfAborted()
    },

    classify: error => (error instanceof HoldfastError ? error : errors.unknown(error)),
  }
}

function entryOf({ object }: Stored): RemoteEntry {
  const { key, size, modifiedAt, etag, token, attested } = object
  return { type: 'object', key, size, modifiedAt, etag, token, attested }
}

function copyMetadata(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const copy: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(metadata)) copy[name] = value
  return Object.freeze(copy)
}

async function* slices(bytes: Uint8Array, signal: AbortSignal): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += chunkBytes) {
    signal.throwIfAborted()
    yield bytes.slice(at, at + chunkBytes)
  }
  signal.throwIfAborted()
}
