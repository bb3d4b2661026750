import type { FieldRow, FieldRows } from './fields/row.ts'
import { fields, type HandledCommand } from './fields.ts'

/** What is to be done with a call of a handled command. */
export type Verdict =
  | { readonly go: 'here' }
  /** To the client's own bucket, as it is. */
  | { readonly go: 'primary' }
  | {
      /** The field to blame, as in the input: `Delete.Objects.VersionId`. */
      readonly refused: string
      /** Ends the sentence "<field> …: ", in one line. */
      readonly why: string
      /** `options.relax` may name it. */
      readonly canRelax: boolean
    }

/**
 * Decides by the table, from the fields that have a value; `undefined` and `null` are none, as to the SDK. Pure.
 *
 * `members`: the fields that the app's SDK knows of this command (`membersOf`). One that it does not know is never sent by it either, and is
 * passed over (lib-storage gives UploadPart all that PutObject takes). One that it knows and this version has no row for is refused.
 */
export function judge(
  command: HandledCommand,
  input: Readonly<Record<string, unknown>>,
  relax: readonly string[],
  members?: ReadonlySet<string>,
): Verdict {
  const rows: FieldRows = fields[command]
  let refusal: Verdict | undefined
  for (const [name, value] of given(input, '')) {
    const row = Object.hasOwn(rows, name) ? rows[name] : undefined
    if (row === undefined && members?.has(name) !== true) continue
    if (row?.kind === 'primary') return { go: 'primary' }
    refusal ??= refuse(name, row, value, relax)
  }
  return refusal ?? { go: 'here' }
}

function refuse(
  name: string,
  row: FieldRow | undefined,
  value: unknown,
  relax: readonly string[],
): Verdict | undefined {
  if (row === undefined)
    return { refused: name, why: 'this version of Holdfast does not know the field', canRelax: false }
  switch (row.kind) {
    case 'feature':
    case 'ignored':
    case 'primary':
      return undefined
    case 'handled': {
      if (row.only === undefined || row.only.values.some(taken => taken === value)) return undefined
      const canRelax = row.canRelax === true
      return canRelax && relax.includes(name) ? undefined : { refused: name, why: row.only.otherwise, canRelax }
    }
    case 'refused':
      if (row.canRelax && relax.includes(name)) return undefined
      return { refused: name, why: row.why, canRelax: row.canRelax }
    default:
      return row satisfies never
  }
}

/** The fields that have a value, those inside others by their path; bodies, dates and maps are values. */
function* given(input: Readonly<Record<string, unknown>>, at: string): Generator<readonly [string, unknown]> {
  for (const [key, value] of Object.entries(input)) {
    if (value === undefined || value === null) continue
    const name = `${at}${key}`
    yield [name, value]
    if (!nested.has(name)) continue
    for (const item of Array.isArray(value) ? (value as readonly unknown[]) : [value]) {
      if (typeof item === 'object' && item !== null) yield* given(item as Record<string, unknown>, `${name}.`)
    }
  }
}

/** The fields that have fields: what rows with a path begin with. */
const nested: ReadonlySet<string> = new Set(
  Object.values<FieldRows>(fields).flatMap(rows =>
    Object.keys(rows).flatMap(path => (path.includes('.') ? [path.slice(0, path.lastIndexOf('.'))] : [])),
  ),
)
