import * as sdk from '@aws-sdk/client-s3'
import { membersOf, nameOf } from '../../src/s3-client/schema.ts'

/** An operation of the SDK: what its command class is called, and its input fields with paths. */
export interface Operation {
  readonly name: string
  readonly members: readonly string[]
}

/** All operations that the installed SDK has commands for, from its own schemas. */
export function operations(exported: Readonly<Record<string, unknown>> = sdk): Operation[] {
  return Object.entries(exported).flatMap(([name, value]) => {
    if (!/^[A-Z]\w*Command$/.test(name) || typeof value !== 'function') return []
    const command: object = new (value as new (input: object) => object)({})
    return [{ name: nameOf(command) ?? name, members: [...(membersOf(command) ?? [])] }]
  })
}

/** What is wrong between the tables and the SDK, in one line each. */
export function differences(
  found: readonly Operation[],
  fields: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  commands: Readonly<Record<string, unknown>>,
): string[] {
  const names = new Set(found.map(({ name }) => name))
  return [
    ...found.filter(({ name }) => !(name in commands)).map(({ name }) => `${name}: no decision`),
    ...Object.keys(commands)
      .filter(name => !names.has(name))
      .map(name => `${name}: the SDK has no such command`),
    ...found.flatMap(({ name, members }) => {
      const rows = fields[name]
      if (rows === undefined) return []
      return [
        ...members.filter(member => !(member in rows)).map(member => `${name}.${member}: no row`),
        ...Object.keys(rows)
          .filter(row => !members.includes(row))
          .map(row => `${name}.${row}: the SDK has no such field`),
      ]
    }),
  ]
}
