import { keyOfName } from '../core/encode.ts'
import { HoldfastError } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import { deleteMany } from './delete-many.ts'
import { objectOf, receiptOf } from './encoded/answers.ts'
import { encodedBlocked } from './encoded/blocked.ts'
import { payloadOf } from './encoded/events.ts'
import { encodedEstimate, encodedFill } from './encoded/fill.ts'
import { listKeys } from './encoded/list.ts'
import { encodedReconcile } from './encoded/reconcile.ts'
import { keyed, keyedError, nameOf, plainNameOf, told, unlessRefused, withSignal } from './encoded/names.ts'
import { encodedUploads } from './encoded/uploads.ts'
import type { Holdfast } from './holdfast.ts'
import { checkList } from './input/calls.ts'
import type { Inspection } from './inspect.ts'
import type { Receipt } from './receipt.ts'

/**
 * The same store for keys of any kind: at its edge each becomes the name that it is stored under, and each name that comes out the key that it stands
 * for. The store inside knows names only. A method that is missing here is an error of types: there is no other way in.
 *
 * An object whose name is not what its key becomes (written past Holdfast, or under 'strict') is read where it is as long as nothing is stored
 * under the name of its key, and a delete takes both.
 */
export function encoded(inner: Holdfast, clock: Clock): Holdfast {
  /** What `ask` finds under the name of the key, else under the key itself. */
  async function found<T>(key: string, ask: (name: string) => Promise<T | undefined>): Promise<T | undefined> {
    const plain = plainNameOf(key)
    return (await ask(nameOf(key))) ?? (plain === undefined ? undefined : await unlessRefused(ask(plain)))
  }

  /** As `found`, where it is an error that there is nothing. */
  async function done<T>(key: string, isAbsent: (error: HoldfastError) => boolean, act: (name: string) => Promise<T>) {
    const plain = plainNameOf(key)
    try {
      return await act(nameOf(key))
    } catch (error) {
      if (plain === undefined || !(error instanceof HoldfastError) || !isAbsent(error)) throw error
      const instead = await unlessRefused(act(plain))
      if (instead === undefined) throw error
      return instead
    }
  }

  async function remove(key: string, options: Parameters<Holdfast['delete']>[1]): Promise<Receipt> {
    const plain = plainNameOf(key)
    if (options?.if !== undefined) {
      const isElsewhere = ({ code }: HoldfastError): boolean => code === 'PRECONDITION'
      return receiptOf(await done(key, isElsewhere, name => inner.delete(name, options)))
    }
    const receipt = await inner.delete(nameOf(key), options)
    const other = plain === undefined ? undefined : await unlessRefused(inner.delete(plain, options))
    if (other === undefined) return receiptOf(receipt)
    const both = async (until: Parameters<Receipt['replicated']>[0]): Promise<void> => {
      await Promise.all([receipt.replicated(until), other.replicated(until)])
    }
    return receiptOf({ ...receipt, replicated: both })
  }

  async function sign(key: string, options: Parameters<Holdfast['signedUrl']>[1]): ReturnType<Holdfast['signedUrl']> {
    const plain = plainNameOf(key)
    const isPlain =
      plain !== undefined &&
      options?.method === 'GET' &&
      (await inner.head(nameOf(key))) === undefined &&
      (await unlessRefused(inner.head(plain))) !== undefined
    return await inner.signedUrl(isPlain ? plain : nameOf(key), options)
  }

  /** Of the name that there is something of; of the first, where there is nothing. */
  async function inspect(key: string, options: Parameters<Holdfast['inspect']>[1]): Promise<Inspection> {
    const plain = plainNameOf(key)
    const isSomething = ({ journal, providers }: Inspection): boolean =>
      journal.isOpen || providers.some(({ object }) => object !== undefined)
    const first = await inner.inspect(nameOf(key), options)
    if (plain === undefined || isSomething(first)) return keyed(first)
    const second = await unlessRefused(inner.inspect(plain, options))
    return keyed(second !== undefined && isSomething(second) ? second : first)
  }

  const outer: Holdfast = {
    put: async (key, body, options) => receiptOf(await told(inner.put(nameOf(key), body, options))),
    get: async (key, options) => objectOf(await told(found(key, name => inner.get(name, options)))),
    head: async (key, options) => {
      const info = await told(found(key, name => inner.head(name, options)))
      return info && keyed(info)
    },
    delete: (key, options) => told(remove(key, options)),
    async copy(from, to, options) {
      const isAbsent = ({ field, rule }: HoldfastError): boolean => field === 'from' && rule === 'absent'
      return receiptOf(await told(done(from, isAbsent, name => inner.copy(name, nameOf(to), options))))
    },
    async *list(options) {
      const { signal, ...checked } = checkList(options)
      try {
        yield* listKeys(inner, { ...checked, ...withSignal(signal) })
      } catch (error) {
        throw keyedError(error)
      }
    },
    // Of the keys that this store lists, and as it deletes them.
    deleteMany: options => deleteMany(outer, options, clock),
    signedUrl: (key, options) => told(sign(key, options)),
    async adopt(key, options) {
      const isAbsent = ({ field, rule }: HoldfastError): boolean => field === 'key' && rule === 'absent'
      return receiptOf(await told(done(key, isAbsent, name => inner.adopt(name, options))))
    },
    uploads: encodedUploads(inner.uploads),
    drain: options => told(inner.drain(options)),
    blocked: encodedBlocked(inner.blocked),
    retire: (provider, options) => told(inner.retire(provider, options)),
    acceptBucket: (provider, options) => told(inner.acceptBucket(provider, options)),
    reconcile: options => encodedReconcile(inner, options),
    backfill: options => encodedFill(options, each => inner.backfill(each)),
    evacuate: options => encodedFill(options, each => inner.evacuate(each)),
    estimate: options => encodedEstimate(options, each => inner.estimate(each)),
    check: options => told(inner.check(options)),
    inspect: (key, options) => told(inspect(key, options)),
    async status() {
      const { scrub, ...status } = await told(inner.status())
      return scrub === undefined ? status : { ...status, scrub: { ...scrub, cursor: keyOfName(scrub.cursor) } }
    },
    on(event, listener) {
      if (typeof listener !== 'function') return inner.on(event, listener)
      return inner.on(event, payload => listener(payloadOf(event, payload)))
    },
    close: options => told(inner.close(options)),
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  }
  return outer
}
