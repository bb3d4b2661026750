import { invalidArgument } from './errors.ts'

/** Where a page begins: after a key, or after everything under a common prefix. */
export type Start = ({ readonly after: string } | { readonly past: string }) & {
  /** The page before had only what is on local disk, for want of a provider: so may this one. */
  readonly partial?: true
}

/** Opaque to the app, and good in another process and after a restart: it names a place, not a listing. */
export function writeToken(start: Start): string {
  return Buffer.from(JSON.stringify(start)).toString('base64url')
}

/** InvalidArgument for what is none of ours: one of S3's own says nothing here. */
export function readToken(token: string): Start {
  try {
    const start: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'))
    const { after, past, partial } = start as Readonly<Record<'after' | 'past' | 'partial', unknown>>
    const said = partial === true ? { partial: true as const } : {}
    if (typeof after === 'string') return { after, ...said }
    if (typeof past === 'string') return { past, ...said }
  } catch {
    // No JSON: none of ours either.
  }
  throw invalidArgument('continuation-token', token, 'The continuation token provided is incorrect')
}
