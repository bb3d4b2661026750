import type { S3Client } from '@aws-sdk/client-s3'
import { suggestion } from '../core/suggest.ts'
import { invalid, shown } from '../core/errors.ts'
import { oneOf, take } from '../holdfast/input/take.ts'
import type { Holdfast } from '../index.ts'
import { wrap } from './client.ts'
import { fields } from './fields.ts'
import type { Settings } from './handler.ts'
import type { WithHoldfastOptions } from './options.ts'

export type { WithHoldfastOptions } from './options.ts'

/**
 * The same client, whose object commands for `buckets` go through Holdfast: `send` in all its forms, the methods of an aggregated client,
 * paginators, waiters, lib-storage. It is `instanceof` its class, its `config`, `middlewareStack` and `destroy` are the client's own, and what the
 * app's middleware does runs for every command, once. Other buckets, and commands that touch no object, go where they went. Presigning
 * signs for the client's own bucket, and writes nothing.
 *
 * The client that was given stays as it is. Wrapping again adds buckets. Stores are not closed by `destroy`.
 *
 * TypeError for what is no client, no store or no object of options; INVALID, field `buckets`: rule `empty`, `name` (no bucket's name: an ARN, an empty
 * one), `taken` (wrapped before, with another store); field `multipart`, `listWhenDown` or `relax`.
 */
export function withHoldfast<Client extends S3Client>(
  client: Client,
  buckets: Readonly<Record<string, Holdfast>>,
  options?: WithHoldfastOptions,
): Client {
  demandClient(client)
  return wrap(client, checkBuckets(buckets), checkOptions(options))
}

/** By what it has: an app may have another copy of the SDK than we find. */
function demandClient(client: unknown): asserts client is S3Client {
  const { send, config, middlewareStack } = (typeof client === 'object' && client !== null ? client : {}) as {
    readonly send?: unknown
    readonly config?: unknown
    readonly middlewareStack?: { readonly clone?: unknown }
  }
  const isClient = typeof send === 'function' && typeof middlewareStack?.clone === 'function'
  if (isClient && typeof config === 'object' && config !== null) return
  throw new TypeError(`the client must be an S3Client of @aws-sdk/client-s3, got ${shown(client)}`)
}

function checkBuckets(buckets: unknown): ReadonlyMap<string, Holdfast> {
  if (typeof buckets !== 'object' || buckets === null) {
    throw new TypeError(`the buckets must be an object such as { photos: store }, got ${shown(buckets)}`)
  }
  const stores = new Map<string, Holdfast>()
  for (const [name, store] of Object.entries(buckets as Readonly<Record<string, unknown>>)) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(name)) {
      throw invalid('buckets', 'name', `buckets has ${shown(name)}, which is no name of a bucket`)
    }
    if (!isStore(store)) {
      throw new TypeError(`buckets.${name} must be a store (await openHoldfast(…)), got ${shown(store)}${hint(store)}`)
    }
    stores.set(name, store)
  }
  if (stores.size === 0)
    throw invalid('buckets', 'empty', 'buckets is empty: name a bucket, and the store that is to have it')
  return stores
}

function isStore(store: unknown): store is Holdfast {
  const { signedUrl, adopt, uploads } = (typeof store === 'object' && store !== null ? store : {}) as Partial<Holdfast>
  return typeof signedUrl === 'function' && typeof adopt === 'function' && typeof uploads === 'object'
}

function hint(store: unknown): string {
  return store instanceof Promise ? ' (await it)' : ''
}

function checkOptions(options: unknown): Settings {
  const given = take(options, ['multipart', 'listWhenDown', 'relax'], 'withHoldfast')
  return {
    multipart: oneOf('multipart', given.multipart, ['local', 'provider'], 'local'),
    listWhenDown: oneOf('listWhenDown', given.listWhenDown, ['local', 'fail'], 'local'),
    relax: checkRelax(given.relax),
  }
}

function checkRelax(relax: unknown): readonly string[] {
  if (relax === undefined) return []
  if (!Array.isArray(relax))
    throw invalid('relax', 'type', `relax must be an array of field names, got ${shown(relax)}`)
  const known = new Set(Object.values(fields).flatMap(rows => Object.keys(rows)))
  for (const name of relax as readonly unknown[]) {
    if (typeof name !== 'string') throw invalid('relax', 'type', `relax must name fields, got ${shown(name)}`)
    if (!known.has(name)) {
      throw invalid('relax', 'unknown', `no command has a field ${shown(name)}${suggestion(name, [...known])}`)
    }
  }
  return [...(relax as readonly string[])]
}
