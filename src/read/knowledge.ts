import type { Version } from '../core/version.ts'
import type { KeyView, WriteRow } from '../journal/contract.ts'
import type { ReadProvider } from './types.ts'

/** What this directory knows of a key, as far as it decides who is asked and what may be served. */
export interface Knowledge {
  /** Nobody but this directory has the newest write yet, and it is a delete. */
  readonly isDeletedHere: boolean
  /** The newest write is a delete that some provider may not have yet. */
  readonly isOpenDelete: boolean
  /** The newest delete: nothing up to it is served. */
  readonly deleted: Version | undefined
  /** The newest version this directory is sure of: nothing below it is served, unless marked stale. */
  readonly floor: Version | undefined
  /** The directory knows of a put that no delete followed. */
  readonly isExpected: boolean
  /** The newest write is a put that is not finished: it was promised, so no 404 ends it. */
  readonly isOwed: boolean
  /** Whom to ask, in this order. */
  readonly places: readonly Place[]
}

export type Place =
  | { readonly is: 'local'; readonly held: WriteRow }
  /** `lags`: it is known not to have the newest write yet, so that its 404 says nothing. */
  | { readonly is: 'provider'; readonly at: ReadProvider; readonly lags: boolean }

/**
 * While no provider is known to have the newest write, the local copy is first. Afterwards the providers that have it, in their order: a
 * local copy that answered first would be stale as soon as another node writes. Then the local copy, and those that lag. Last of all, in the same
 * order, those that were away.
 */
export function knowledgeOf(view: KeyView, providers: readonly ReadProvider[]): Knowledge {
  const { open, deleted, newest } = view
  const lacking = providers.filter(({ id }) => open !== undefined && !has(open, id))
  const having = providers.filter(at => !lacking.includes(at))
  const isNowhere = open !== undefined && !open.replicas.some(({ state }) => state === 'stored' || state === 'verified')
  const floor = later(newest, open?.version)
  const ask = (lags: boolean) => (at: ReadProvider) => ({ is: 'provider', at, lags }) as const
  const isOpenDelete = open !== undefined && open.kind === 'delete' && !open.damaged
  return {
    isDeletedHere: isOpenDelete && isNowhere && open.version === floor,
    isOpenDelete: isOpenDelete && open.version === floor,
    deleted,
    floor,
    isExpected: floor !== undefined && (deleted === undefined || floor > deleted),
    isOwed: open !== undefined && (open.kind === 'put' || open.damaged),
    places: doubtedLast([
      ...having.map(ask(false)),
      ...(open !== undefined && isHeld(open) ? [{ is: 'local', held: open } as const] : []),
      ...lacking.map(ask(true)),
    ]),
  }
}

function doubtedLast(places: readonly Place[]): readonly Place[] {
  const isDoubted = (place: Place) => place.is === 'provider' && place.at.doubtedUntil() !== undefined
  return [...places.filter(place => !isDoubted(place)), ...places.filter(isDoubted)]
}

/** Whether its body is here and may be believed. */
export function isHeld(write: WriteRow): boolean {
  return write.kind === 'put' && !write.damaged && write.body.in !== 'none'
}

function has(open: WriteRow, provider: number): boolean {
  const replica = open.replicas.find(each => each.provider === provider)
  return replica !== undefined && (replica.state === 'stored' || replica.state === 'verified')
}

function later(a: Version | undefined, b: Version | undefined): Version | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return a > b ? a : b
}
