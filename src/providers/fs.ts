import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { isAbsolute, join, resolve } from 'node:path'
import { type ErrorDetails, HoldfastError, invalid, shown } from '../core/errors.ts'
import type { Capabilities, Provider, RemoteEntry, RemoteObject } from '../core/provider.ts'
import { cutRange } from '../core/range.ts'
import { errorMaker } from './errors.ts'
import { privateOnly, refuseUnequal } from './features.ts'
import { refuseAnywhere } from './keys.ts'
import { bodyOf } from './fs/body.ts'
import { classifyFs, errno } from './fs/errors.ts'
import { hasLocks, turnsAt } from './fs/lock.ts'
import { draftsName, lockName } from './fs/names.ts'
import { type Found, type Place, treeAt } from './fs/tree.ts'
import { type Wanted, walk } from './fs/walk.ts'
import { writingTo } from './fs/write.ts'
import { checkOptions, type OptionType } from './options.ts'

/** Which directory. */
export interface FsOptions {
  /** Absolute path of a directory on a local or mounted disk. It has to be there, and belongs to this provider. */
  readonly root: string
  /** Default `fs:` and the root. Unique among the providers of a store. */
  readonly name?: string
}

const types = { root: 'string', name: 'string' } as const satisfies Record<keyof FsOptions, OptionType>

const keyBytes = 1024
/** Linux's limit, less the zero at the end. */
const pathBytes = 4095

/** Before anything was tried out: what a local disk can do. */
const usual: Capabilities = {
  createIfAbsent: true,
  replaceIf: true,
  deleteIf: true,
  uniqueTokens: true,
  readIf: true,
  attests: [],
  sign: false,
  listsAtOnce: true,
  quirks: { locks: 'yes', links: 'yes' },
}

/**
 * A directory on a local or mounted disk. Needs nothing but the directory; never makes the root itself, so that a mount that is missing
 * is an error (DENIED, reason BUCKET) where its mount point is missing too, and else shows by the missing `.holdfast/identity`.
 *
 * ```
 * <root>/                       directories 0700, files 0600
 *   photos/2026/cat.jpg!f       the object `photos/2026/cat.jpg`: see fs/names.ts for how keys become names
 *   !drafts/<random>            bodies being written; what a crash left is removed a day later
 *   !lock                       SQLite file without data: its lock is whose turn it is to change names
 * ```
 *
 * An object is one file: a line and a JSON with all that is known of it (fs/record.ts), then the bytes as they are; body and attributes
 * change together, by a rename. A put writes a draft, compares its bytes with the announced digests on the way, syncs it, reads it
 * back, then gives it its name and syncs the directory: a resolved put survives a power cut on a file system that honours fsync.
 *
 * Conditions are atomic between all processes of one machine, by a lock of the kernel that dies with its process; on a network mount
 * also between machines, as far as the mount's locks reach. Create-only puts do not even need it where there are hard links. Where a
 * file system has no locks, `capabilities` say so. `attests` is empty: the digests in a file are those of the time of its
 * writing, and nobody looks after the bytes since. Whoever wants to know reads them.
 *
 * A file that is not as it was written is shown by `head` with the size that it has, or, where nothing of it can be read, as an object
 * without metadata from 1970, so that it is found and replaced; `get` refuses it (CHECKSUM, reason MISMATCH).
 *
 * Below the root no symbolic link is followed. All bytes and names are as safe as the disk: this is no second cloud. INVALID where an
 * option breaks a rule.
 */
export function fs(options: FsOptions): Provider {
  const root = rootOf(options)
  const name = options.name ?? `fs:${root}`
  const errors = errorMaker(name)
  const tree = treeAt(root, errors)
  const turns = turnsAt(join(root, lockName))
  const writing = writingTo(tree, turns, errors, explained)
  const reader = { calls: tree.calls, errors, told }
  let capabilities = usual

  /** Any error as one of ours. Of those that may be about the root itself, the root is asked. */
  async function explained(error: unknown, details: ErrorDetails): Promise<unknown> {
    const code = errno(error)
    if (error instanceof HoldfastError || code === undefined) return error
    const isMissing = code === 'ENOENT' || code === 'ENOTDIR'
    const about = isMissing ? await failureOf(tree.requireRoot()) : undefined
    if (about instanceof HoldfastError) return about
    const isLockedOut = (code === 'EACCES' || code === 'EPERM') && (await failureOf(enter())) !== undefined
    if (!isLockedOut) return classifyFs(errors, error, details)
    const message = `no right to read and write ${root} (${code})`
    return errors.because('DENIED', 'CREDENTIALS', message, { ...details, cause: error })
  }

  const enter = (): Promise<void> =>
    tree.calls.run(() => access(root, constants.R_OK | constants.W_OK | constants.X_OK))

  /** Does the call, and rejects with an error of ours, or the reason of the signal. */
  async function told<T>(signal: AbortSignal, details: ErrorDetails, call: () => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    try {
      return await call()
    } catch (error) {
      signal.throwIfAborted()
      const ours = await explained(error, details)
      throw ours instanceof HoldfastError ? ours : errors.unknown(ours)
    }
  }

  function demand(can: boolean, what: string, key: string): void {
    if (!can) throw errors.unsupported(`${what}: this file system has no locks`, key)
  }

  /** The open file, if it is the one that was asked for. */
  async function opened(key: string, token: string | undefined, signal: AbortSignal) {
    const file = await tree.open(tree.placeOf(key), signal)
    if (file === undefined || token === undefined || file.record.token === token) return file
    await tree.close(file, signal)
    throw errors.condition(key)
  }

  async function entryOf(place: Place, signal: AbortSignal): Promise<RemoteEntry | undefined> {
    const found = await tree.look(place, signal)
    return found && { type: 'object', ...objectOf(place.key, found) }
  }

  return {
    name,
    kind: 'fs',
    location: `fs:${root}`,
    limits: { objectBytes: 5 * 2 ** 40, keyBytes, metadata: { bytes: 8192, holds: () => true } },
    get capabilities() {
      return capabilities
    },

    refuseKey(key) {
      const refusal = refuseAnywhere(key, keyBytes)
      if (refusal !== undefined) return refusal
      const bytes = Buffer.byteLength(tree.placeOf(key).path)
      return bytes > pathBytes
        ? { rule: 'length', message: `becomes a path of ${bytes} bytes, limit ${pathBytes}` }
        : undefined
    },

    refuseFeatures: features => refuseUnequal(features, privateOnly, name),

    learn: (remembered, signal) =>
      told(signal, {}, async () => {
        const quirks = remembered?.quirks ?? (await tryOut(signal))
        const locks = quirks['locks'] !== 'none'
        if (!locks) turns.withoutLocks()
        const createIfAbsent = locks || quirks['links'] !== 'none'
        capabilities = { ...usual, createIfAbsent, replaceIf: locks, deleteIf: locks, quirks }
        return capabilities
      }),

    put: (request, signal) =>
      told(signal, { key: request.key }, async () => {
        const { key, condition } = request
        if (condition !== undefined) {
          const can = 'absent' in condition ? capabilities.createIfAbsent : capabilities.replaceIf
          demand(can, 'put under a condition', key)
        }
        const { token, md5 } = await writing.put(request, signal)
        return { token, etag: md5, proof: 'server-full', serverTime: Date.now() }
      }),

    head: (key, signal) =>
      told(signal, { key }, async () => {
        const found = await tree.look(tree.placeOf(key), signal)
        return found && { ...objectOf(key, found), serverTime: Date.now() }
      }),

    get: ({ key, range, token }, signal) =>
      told(signal, { key }, async () => {
        const file = await opened(key, token, signal)
        if (file === undefined) return undefined
        const object = { ...objectOf(key, file), serverTime: Date.now() }
        const cut = cutRange(range, object.size)
        if (cut !== undefined && !file.isDamaged) return { object, ...cut, ...bodyOf(reader, file, cut, signal) }
        await tree.close(file, signal)
        throw file.isDamaged ? tree.damaged(tree.placeOf(key).path, key) : errors.range(key, object.size)
      }),

    delete: (key, token, signal) =>
      told(signal, { key }, async () => {
        if (token !== undefined) demand(capabilities.deleteIf, 'delete under a condition', key)
        await writing.delete(key, token, signal)
        return { serverTime: Date.now() }
      }),

    async *list({ prefix, delimiter, startAfter }, signal) {
      const wanted: Wanted = { prefix, startAfter, skip: undefined }
      const places = walk(tree, wanted, signal)[Symbol.asyncIterator]()
      for (;;) {
        const step = await told(signal, {}, () => places.next())
        if (step.done === true) return
        const place = step.value
        const at = delimiter === '' ? -1 : place.key.indexOf(delimiter, prefix.length)
        if (at >= 0) {
          wanted.skip = place.key.slice(0, at + delimiter.length)
          yield { type: 'prefix', prefix: wanted.skip }
          continue
        }
        const entry = await told(signal, {}, () => entryOf(place, signal))
        if (entry !== undefined) yield entry
      }
    },

    sign: (request, signal) =>
      told(signal, {}, async () => {
        throw errors.unsupported('sign requests: nothing serves them', request.key)
      }),

    // A put that did not come to its end has left a draft at most, and that is nobody's.
    abandon: (key, _upload, signal) => told(signal, { key }, async () => {}),
    classify: error => (error instanceof HoldfastError ? error : classifyFs(errors, error)),
  }

  async function tryOut(signal: AbortSignal): Promise<Capabilities['quirks']> {
    await tree.requireRoot(signal)
    const links = (await writing.hasLinks(signal)) ? 'yes' : 'none'
    const locks = (await hasLocks(join(root, draftsName), signal)) ? 'yes' : 'none'
    return { locks, links }
  }
}

function objectOf(key: string, { record, isDamaged }: Found): Omit<RemoteObject, 'serverTime'> {
  const { size, token, md5, modified, headers, metadata } = record
  const copy: Record<string, string> = Object.create(null)
  for (const [name, value] of metadata) copy[name] = value
  const modifiedAt = new Date(modified)
  return { key, size, token, etag: isDamaged ? undefined : md5, modifiedAt, headers, metadata: copy, attested: {} }
}

async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => undefined,
    (error: unknown) => error,
  )
}

function rootOf(options: FsOptions): string {
  checkOptions('fs', options, types, 'root')
  const { root } = options
  if (!isAbsolute(root)) throw invalid('root', 'relative', `root must be an absolute path, got ${shown(root)}`)
  if (root.includes('\0') || !root.isWellFormed())
    throw invalid('root', 'unicode', `root cannot be the name of a directory: ${shown(root)}`)
  return resolve(root)
}
