import { isDeepStrictEqual } from 'node:util'
import type { S3FeatureName } from '../../src/core/features.ts'
import { azureEquals } from '../../src/providers/azure/features.ts'
import { type Equal, privateOnly } from '../../src/providers/features.ts'
import { gcsEquals } from '../../src/providers/gcs/features.ts'
import { featureHeaders } from '../../src/providers/s3/features.ts'
import type { FieldRow, FieldRows } from '../../src/s3-client/fields/row.ts'
import { intended } from './differential/compare.ts'
import { type Decision, commands } from '../../src/s3-client/commands.ts'
import { fields } from '../../src/s3-client/fields.ts'

/** The tables of `src/s3-client` as a page of the docs. */
export const pagePath = 'docs/s3-fields.md'

export function fieldsPage(): string {
  return `${[
    '# Fields and commands of S3, behind `withHoldfast`',
    '',
    'Made from `src/s3-client/fields.ts` and `commands.ts` by `node test/s3-client/write-fields-page.ts`; do not edit.',
    'What it is for, and how to relax a field: [Wrap existing S3 code](wrap-existing-s3-code.md).',
    '',
    'A field without a value is not there. A field that the app’s SDK sends and that is not below (a newer SDK’s) is refused.',
    '',
    '- **here**: means what it means to S3.',
    '- **feature**: travels with the write as `features.s3.…`; each provider keeps it, has an equal, or the write is refused: the first table.',
    "- **refused**: the call is rejected before anything happens. *Relaxable*: with `relax: ['<field>']` it is left out.",
    '- **primary**: the call goes to the client’s own bucket as it is.',
    '- **ignored**: means nothing here, and leaving it out changes nothing.',
    ...featureTable(),
    ...shared(),
    ...Object.entries<FieldRows>(fields).flatMap(([command, rows]) => section(command, rows)),
    '',
    "With `multipart: 'provider'` the commands of an upload go to the primary as they are. Complete takes the object in: headers, metadata, storage class, tags, encryption",
    'and locks stay. `ACL` other than `private`, `Grant…` and `SSEKMSEncryptionContext`, which no read gives back, are refused at CreateMultipartUpload (relaxable).',
    '',
    '## Other commands',
    '',
    '| Command | | |',
    '|---|---|---|',
    ...Object.entries(commands).flatMap(([name, decision]) => otherRow(name, decision)),
    '',
    `Every other command of the SDK (${Object.values(commands).filter(touchesNothing).length} of them) touches no object and passes as it is.`,
    '',
    '## What differs in answers',
    '',
    'Some hundred random calls at a time are made with a plain client and with a wrapped one, and compared field by field, errors included. They differ in this alone:',
    '',
    '| | Commands | |',
    '|---|---|---|',
    ...intended.map(
      ({ name, why, commands: of }) => `| ${capital(name)} | ${of?.map(code).join(', ') ?? 'all'} | ${why} |`,
    ),
    '',
    'Not compared, and different: keys with a `.` or `..` segment are refused (InvalidArgument), since addresses lose them on their way; metadata beyond ASCII comes back as it',
    'was given; onto itself, CopyObject may change nothing but access rights, encryption or tags, for which S3 has commands that are refused here.',
  ].join('\n')}\n`
}

/** What each kind of provider does with what travels with the write: the drivers' own tables. */
function featureTable(): string[] {
  const names = Object.keys(featureHeaders) as S3FeatureName[]
  const lines = Map.groupBy(names, name =>
    ['sent as given', ...[gcsEquals, azureEquals, privateOnly].map(table => equal(table[name]))].join(' | '),
  )
  return [
    '',
    '## Features',
    '',
    'Where one provider of the store has no equal, the write is refused before its body is read (NotImplemented, with the name of the field),',
    "unless `relax: ['<field>']` lets the providers that have none go without it.",
    '',
    '| Field | S3 | Google Cloud Storage | Azure | `fs`, `memory` |',
    '|---|---|---|---|---|',
    ...[...lines].map(([text, same]) => `| ${same.map(code).join(', ')} | ${text} |`),
  ]
}

function equal(given: Equal): string {
  switch (given.is) {
    case 'none':
      return 'none: refused'
    case 'so anyway':
      return `${given.values.map(code).join(', ')}: so anyway; others refused`
    case 'a word':
      return `${given.of}: ${Object.entries(given.words)
        .map(([from, to]) => `${code(from)} → ${code(to)}`)
        .join(', ')}; others refused`
    case 'converted':
      return given.to
    default:
      return given satisfies never
  }
}

/** Rows that all commands that have the field agree about, and that at least three have: said once. */
function shared(): string[] {
  return ['', '## In every command that has them', ...table([...agreed])]
}

function section(command: string, rows: FieldRows): string[] {
  const twin = Object.entries<FieldRows>(fields).find(([, others]) => others === rows)?.[0] ?? command
  if (twin !== command) return ['', `## ${command}`, '', `As ${twin}.`]
  const above = Object.keys(rows).filter(field => agreed.has(field))
  return [
    '',
    `## ${command}`,
    ...table(Object.entries(rows).filter(([field]) => !agreed.has(field))),
    ...(above.length === 0 ? [] : ['', `And, as above: ${above.map(code).join(', ')}.`]),
  ]
}

/** Fields of which the same is said share a line. */
function table(rows: readonly (readonly [field: string, row: FieldRow])[]): string[] {
  if (rows.length === 0) return []
  const lines = Map.groupBy(rows, ([, row]) => told(row).join(' | '))
  return ['', '| Field | | |', '|---|---|---|'].concat(
    [...lines].map(([text, same]) => `| ${same.map(([field]) => code(field)).join(', ')} | ${text} |`),
  )
}

/** By field: the row, where at least three commands have it and all have the same. */
const agreed: ReadonlyMap<string, FieldRow> = new Map(
  [
    ...Map.groupBy(
      Object.values<FieldRows>(fields).flatMap(rows => Object.entries(rows)),
      ([field]) => field,
    ),
  ].flatMap(([field, all]) => {
    const [first, ...rest] = all.map(([, row]) => row)
    const same = first !== undefined && rest.length > 1 && rest.every(row => isDeepStrictEqual(row, first))
    return same ? [[field, first] as const] : []
  }),
)

function told(row: FieldRow): readonly [kind: string, note: string] {
  switch (row.kind) {
    case 'handled': {
      if (row.only === undefined) return ['here', row.note]
      const values = row.only.values.map(value => code(String(value))).join(', ')
      return [
        'here',
        `${row.note} Another value than ${values} is refused${relaxing(row.canRelax)}: ${row.only.otherwise}.`,
      ]
    }
    case 'feature':
      return ['feature', 'See the table above.']
    case 'refused':
      return [`refused${relaxing(row.canRelax)}`, `${capital(row.why)}.`]
    case 'primary':
      return ['primary', row.note]
    case 'ignored':
      return ['ignored', row.why]
    default:
      return row satisfies never
  }
}

function otherRow(name: string, decision: Decision): string[] {
  if (decision.go === 'here' || touchesNothing(decision)) return []
  return decision.go === 'pass'
    ? [`| ${code(name)} | passes | ${decision.note} |`]
    : [`| ${code(name)} | refused | ${capital(decision.why)}. |`]
}

function touchesNothing(decision: Decision): boolean {
  return decision.go === 'pass' && decision.note === 'Touches no object.'
}

const relaxing = (can: boolean | undefined): string => (can === true ? ' (relaxable)' : '')
const code = (text: string): string => `\`${text}\``
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
