/**
 * What is read of the SDK's own schemas, which commands of newer versions carry: `[9, namespace, name, traits, input, output]` is an operation,
 * `[3, namespace, name, traits, members, types]` a structure, `[1, namespace, name, traits, item]` a list; a type may be a function that
 * gives it, or stand in a pair with its traits. Source: `dist-es/schemas/schemas_0.js` of @aws-sdk/client-s3.
 */
const LIST = 1
const STRUCTURE = 3

const known = new WeakMap<object, ReadonlySet<string>>()

/** The name of a command: of its schema, or, where an SDK has none, of its class without `Command`. `undefined` for what is no command. */
export function nameOf(command: unknown): string | undefined {
  if (typeof command !== 'object' || command === null) return undefined
  const name: unknown = schemaOf(command)?.[2]
  if (typeof name === 'string') return name
  return /^([A-Z]\w*)Command$/.exec(command.constructor.name)?.[1]
}

/**
 * The input fields that the app's SDK knows of a command, those inside others by their path (`Delete.Objects.Key`); what is not among
 * them it would not send. `undefined` where the SDK has no schemas.
 */
export function membersOf(command: object): ReadonlySet<string> | undefined {
  const schema = schemaOf(command)
  if (schema === undefined) return undefined
  const found = known.get(schema) ?? new Set(walk(schema[4], ''))
  known.set(schema, found)
  return found
}

function schemaOf(command: object): readonly unknown[] | undefined {
  const schema: unknown = (command as { readonly schema?: unknown }).schema
  return Array.isArray(schema) ? schema : undefined
}

function* walk(given: unknown, at: string): Generator<string> {
  const type = typeOf(given)
  if (type?.[0] === LIST) yield* walk(type[4], at)
  if (type?.[0] !== STRUCTURE) return
  const names = type[4] as readonly string[]
  const types = type[5] as readonly unknown[]
  for (const [index, name] of names.entries()) {
    yield `${at}${name}`
    yield* walk(types[index], `${at}${name}.`)
  }
}

/** A structure or a list, out of whatever leads to it. */
function typeOf(given: unknown): readonly unknown[] | undefined {
  const type: unknown = typeof given === 'function' ? (given as () => unknown)() : given
  if (!Array.isArray(type)) return undefined
  return typeof type[0] === 'function' ? typeOf(type[0]) : type
}
