import type { S3FeatureName } from '../../index.ts'

/** What becomes of one input field of a command that Holdfast answers itself. Plain data: the docs are made of it. */
export type FieldRow =
  /** It means what it means to S3. `only`: the values that this version takes; another is refused for the reason in `otherwise`. */
  | {
      readonly kind: 'handled'
      readonly note: string
      readonly only?: { readonly values: readonly (string | boolean)[]; readonly otherwise: string }
      /** With `options.relax` naming it, a value that is not taken is left out. Default false. */
      readonly canRelax?: boolean
    }
  /** Travels with the write as `features.s3.<name>`: each provider keeps it, has its equal, or the write is refused (unless relaxed). */
  | { readonly kind: 'feature'; readonly name: S3FeatureName }
  /** The call is refused before anything happens, unless `canRelax` and `options.relax` names it: then it is left out. */
  | { readonly kind: 'refused'; readonly why: string; readonly canRelax: boolean }
  /** Means nothing here, and leaving it out changes nothing for the caller. */
  | { readonly kind: 'ignored'; readonly why: string }
  /** Only the client's own bucket can answer a read with it: the command is sent there as it is. */
  | { readonly kind: 'primary'; readonly note: string }

/** By name; a field inside another by its path, lists left out: `Delete.Objects.Key`. */
export type FieldRows = Readonly<Record<string, FieldRow>>

export const handled = (note: string): FieldRow => ({ kind: 'handled', note })

/** Refused whatever the options say: leaving it out would do something else than what was asked. */
export const refused = (why: string): FieldRow => ({ kind: 'refused', why, canRelax: false })

/** Refused until the app says, once, that it can do without it. */
export const relaxable = (why: string): FieldRow => ({ kind: 'refused', why, canRelax: true })

export const ignored = (why: string): FieldRow => ({ kind: 'ignored', why })

export const feature = (name: S3FeatureName): FieldRow => ({ kind: 'feature', name })
