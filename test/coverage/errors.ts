import { memberName, type SourceFile, type Tree, walk } from '../house/sources.ts'

/** A place where an error of ours is made. What it says of the error in plain text is here; what a variable says is not. */
export interface ErrorSite {
  readonly path: string
  readonly at: number
  readonly text: string
  readonly code: readonly string[]
  readonly field: readonly string[]
  readonly rule: readonly string[]
  readonly reason: readonly string[]
}

const classes: ReadonlySet<string> = new Set([
  'HoldfastError',
  'S3ServiceException',
  'Usage',
  'Failed',
  'Unsettled',
  'InvalidArgumentError',
])

/** Methods of a driver's ErrorMaker that make one: `errors.because(…)`. */
const ofErrorMaker: ReadonlySet<string> = new Set(['condition', 'range', 'digest', 'unsupported', 'because', 'unknown'])

/** Every `new` of one of these classes, and every call of a function whose type says that it answers one. */
export function errorSites(sources: readonly SourceFile[]): ErrorSite[] {
  const makers = new Map(sources.map(source => [source.path, makersIn(source)]))
  const methods = new Set(sources.flatMap(methodsIn))
  return sources.flatMap(source => {
    const known = new Set([...(makers.get(source.path) ?? []), ...importedMakers(source, makers)])
    return sitesIn(source, known, methods)
  })
}

function sitesIn(source: SourceFile, makers: ReadonlySet<string>, methods: ReadonlySet<string>): ErrorSite[] {
  const sites: ErrorSite[] = []
  walk(source.program, node => {
    const maker = makerOf(node, makers, methods)
    if (maker === undefined) return
    const found = {
      code: new Set<string>(),
      field: new Set<string>(),
      rule: new Set<string>(),
      reason: new Set<string>(),
    }
    const given = node['arguments'] as readonly Tree[]
    const positions = positional[maker] ?? []
    for (const [index, name] of positions.entries()) for (const text of textsIn(given[index])) found[name].add(text)
    if (maker === 'invalid') found.code.add('INVALID')
    for (const argument of given) for (const [name, text] of propertiesIn(argument)) found[name].add(text)
    sites.push({
      path: source.path,
      at: node.start,
      text: source.text.slice(node.start, node.end),
      code: [...found.code],
      field: [...found.field],
      rule: [...found.rule],
      reason: [...found.reason],
    })
  })
  return sites
}

type Name = 'code' | 'field' | 'rule' | 'reason'

const positional: Readonly<Record<string, readonly Name[]>> = {
  HoldfastError: ['code'],
  invalid: ['field', 'rule'],
  because: ['code', 'reason'],
}

/** The name of what makes an error here, if this is a place that does. */
function makerOf(node: Tree, makers: ReadonlySet<string>, methods: ReadonlySet<string>): string | undefined {
  const callee = node['callee'] as Tree | undefined
  if (node.type === 'NewExpression' && callee?.type === 'Identifier') {
    const name = callee['name'] as string
    return classes.has(name) ? name : undefined
  }
  if (node.type !== 'CallExpression' || callee === undefined) return undefined
  if (callee.type === 'Identifier') {
    const name = callee['name'] as string
    return makers.has(name) ? name : undefined
  }
  const name = memberName(callee)
  if (name === undefined) return undefined
  const object = callee['object'] as Tree
  const isErrors = object['name'] === 'errors' || memberName(object) === 'errors'
  return (isErrors && ofErrorMaker.has(name)) || methods.has(name) ? name : undefined
}

/** Functions that a file declares, by the names that it knows them by. */
function makersIn(source: SourceFile): ReadonlySet<string> {
  const names = new Set<string>()
  walk(source.program, (node, ancestors) => {
    if (!/^(FunctionDeclaration|ArrowFunctionExpression)$/.test(node.type) || !isErrorType(node['returnType'])) return
    const parent = ancestors.at(-1)
    const id = (node['id'] ?? (parent?.type === 'VariableDeclarator' ? parent['id'] : undefined)) as Tree | undefined
    if (typeof id?.['name'] === 'string') names.add(id['name'])
  })
  return names
}

function importedMakers(source: SourceFile, makers: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const names: string[] = []
  walk(source.program, node => {
    if (node.type !== 'ImportDeclaration') return
    const from = (node['source'] as Tree)['value'] as string
    const file = source.imports.find(each => each.from === from)?.file
    const there = file === undefined ? undefined : makers.get(file)
    for (const specifier of node['specifiers'] as readonly Tree[]) {
      const imported = (specifier['imported'] as Tree | undefined)?.['name'] as string | undefined
      if (imported !== undefined && there?.has(imported) === true)
        names.push((specifier['local'] as Tree)['name'] as string)
    }
  })
  return names
}

/** Methods of interfaces that are asked for an error: `target.refusal(…)`. */
function methodsIn(source: SourceFile): string[] {
  const names: string[] = []
  walk(source.program, (node, ancestors) => {
    const holder = ancestors.at(-2)?.['id'] as Tree | undefined
    if (node.type !== 'TSMethodSignature' || holder?.['name'] === 'ErrorMaker' || !isErrorType(node['returnType']))
      return
    const name = (node['key'] as Tree)['name'] as string
    // That of a provider says what an error means which others have made.
    if (name !== 'classify') names.push(name)
  })
  return names
}

/** Of exactly an error, or the promise of one: what may also answer none makes none by itself. */
function isErrorType(annotation: unknown): boolean {
  let type = (annotation as Tree | null | undefined)?.['typeAnnotation'] as Tree | undefined
  const nameOf = (each: Tree | undefined) => (each?.['typeName'] as Tree | undefined)?.['name'] as string | undefined
  if (type !== undefined && nameOf(type) === 'Promise')
    type = ((type['typeArguments'] as Tree)['params'] as readonly Tree[])[0]
  return classes.has(nameOf(type) ?? '')
}

function textsIn(node: Tree | undefined): string[] {
  if (node?.type === 'Literal') return typeof node['value'] === 'string' ? [node['value']] : []
  if (node?.type !== 'ConditionalExpression') return []
  return [...textsIn(node['consequent'] as Tree), ...textsIn(node['alternate'] as Tree)]
}

function propertiesIn(node: Tree): [Name, string][] {
  if (node.type !== 'ObjectExpression') return []
  return (node['properties'] as readonly Tree[]).flatMap(property => {
    const name = (property['key'] as Tree | undefined)?.['name'] as string | undefined
    if (name !== 'code' && name !== 'field' && name !== 'rule' && name !== 'reason') return []
    return textsIn(property['value'] as Tree).map((text): [Name, string] => [name, text])
  })
}
