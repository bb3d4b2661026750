import type { Status } from '../src/index.ts'
import type { DemoFile } from './files.ts'

/** What the parent may ask of the writer. An answer comes only after the store's own promise has settled. */
export interface Calls {
  put: { readonly argument: DemoFile; readonly answer: { readonly version: string } }
  get: { readonly argument: string; readonly answer: ReadBack | undefined }
  status: { readonly argument: undefined; readonly answer: Status }
  drain: { readonly argument: 'stored' | 'verified'; readonly answer: undefined }
  close: { readonly argument: undefined; readonly answer: undefined }
}

export type CallName = keyof Calls

/** What a reader of an object got. */
export interface ReadBack {
  /** 'local', or the name of the cloud that answered. */
  readonly from: string
  readonly size: number
  readonly sha256: string
  readonly contentType: string
  readonly metadata: Readonly<Record<string, string>>
}

export interface Order {
  readonly id: number
  readonly call: CallName
  readonly argument: unknown
}

export type Report =
  | { readonly type: 'ready'; readonly openedInMs: number }
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'failed'; readonly id: number; readonly message: string }
  /** A cloud has this object; `verified`: it was looked at again after the hold. */
  | { readonly type: 'stored' | 'verified'; readonly provider: string; readonly key: string }
