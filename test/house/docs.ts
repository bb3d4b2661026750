import { type SourceFile, sourcesIn, type Tree } from './sources.ts'

/** A public name, or a member of one. */
export interface Documented {
  /** `Provider`, `Provider.put`, `Status.pending.writes` … */
  readonly name: string
  /** `src/core/provider.ts:20`, where it is declared. */
  readonly at: string
  /** `member`: of an interface, a class, or a type that is an object; it may be a call too. */
  readonly kind: 'name' | 'member'
  /** Whether it is called, rather than read. */
  readonly isCall: boolean
  readonly isNumber: boolean
  /** What stands right above it, or above what it is a part of, without its frame. */
  readonly text: string | undefined
}

const sources = new Map(sourcesIn('src').map(file => [file.path, file]))

/** What a module gives to whoever imports it, found through the files that it takes names from, with all members. */
export function publicNames(entry: string): Documented[] {
  const file = fileAt(entry)
  const found: Documented[] = []
  for (const statement of statementsOf(file)) {
    if (statement.type === 'ExportAllDeclaration') throw new Error(`${entry}: export * hides what is public`)
    if (statement.type !== 'ExportNamedDeclaration') continue
    const declaration = statement['declaration'] as Tree | null
    if (declaration !== null) found.push(...namesOf(declaration).flatMap(name => describe(locate(name, file))))
    for (const { local } of specifiersOf(statement)) {
      found.push(...describe(locate(local, fileFrom(file, statement) ?? file)))
    }
  }
  return [...new Map(found.map(each => [`${each.name} ${each.at}`, each])).values()]
}

interface Declaration {
  readonly name: string
  readonly node: Tree
  /** The declaration, or the `export` around it: what the docstring is above of. */
  readonly statement: Tree
  readonly file: SourceFile
}

/** Where a name is declared: in this file, or in the one that it takes the name from. */
function locate(name: string, file: SourceFile): Declaration {
  for (const statement of statementsOf(file)) {
    const node = (statement['declaration'] ?? statement) as Tree
    if (namesOf(node).includes(name)) return { name, node, statement, file }
    const from = fileFrom(file, statement)
    const isImport = statement.type === 'ImportDeclaration'
    const taken = specifiersOf(statement).find(each => (isImport ? each.local : each.exported) === name)
    if (from !== undefined && taken !== undefined) return locate(isImport ? taken.imported : taken.local, from)
  }
  throw new Error(`${file.path} does not declare ${name}`)
}

function statementsOf(file: SourceFile): readonly Tree[] {
  return file.program['body'] as readonly Tree[]
}

function specifiersOf(statement: Tree): { local: string; imported: string; exported: string }[] {
  return ((statement['specifiers'] ?? []) as readonly Tree[]).map(each => {
    const nameOf = (part: string) => (each[part] as Tree | undefined)?.['name'] as string
    return { local: nameOf('local'), imported: nameOf('imported'), exported: nameOf('exported') }
  })
}

function fileAt(path: string): SourceFile {
  const file = sources.get(path)
  if (file === undefined) throw new Error(`${path} is not there`)
  return file
}

/** The file of src that an import or export takes its names from, if it does. */
function fileFrom(file: SourceFile, statement: Tree): SourceFile | undefined {
  const { value } = (statement['source'] ?? {}) as { readonly value?: string }
  return value?.startsWith('.') === true ? fileAt(new URL(value, `file:///${file.path}`).pathname.slice(1)) : undefined
}

function namesOf(declaration: Tree): string[] {
  if (declaration.type === 'VariableDeclaration') {
    return (declaration['declarations'] as readonly Tree[]).map(each => (each['id'] as Tree)['name'] as string)
  }
  const id = declaration['id'] as Tree | null | undefined
  return typeof id?.['name'] === 'string' ? [id['name']] : []
}

function describe({ name, node, statement, file }: Declaration): Documented[] {
  const text = textAbove(statement, file)
  const isCall = /Function/.test(node.type)
  const at = placeOf(statement, file)
  return [{ name, at, kind: 'name', isCall, isNumber: false, text }, ...members(name, node, file, undefined)]
}

/** `inherited`: the text above the object that these are members of, where that is itself a member, or one of several alternatives. */
function members(of: string, node: Tree, file: SourceFile, inherited: string | undefined): Documented[] {
  const within = (part: string) => members(of, node[part] as Tree, file, inherited)
  switch (node.type) {
    case 'TSInterfaceDeclaration':
      return [...parentsOf(node, file).flatMap(parent => inheritedBy(of, parent)), ...within('body')]
    case 'ClassDeclaration':
      return within('body')
    case 'TSInterfaceBody':
    case 'ClassBody':
      return (node['body'] as readonly Tree[]).flatMap(member => describeMember(of, member, file, inherited))
    case 'TSTypeLiteral':
      return (node['members'] as readonly Tree[]).flatMap(member => describeMember(of, member, file, inherited))
    case 'TSTypeAliasDeclaration': {
      const type = node['typeAnnotation'] as Tree
      return members(of, type, file, undefined)
    }
    case 'TSUnionType':
    case 'TSIntersectionType':
      return (node['types'] as readonly Tree[]).flatMap(each =>
        members(of, each, file, textAbove(each, file) ?? inherited),
      )
    case 'TSArrayType':
      return within('elementType')
    case 'TSTypeOperator':
      return within('typeAnnotation')
    default:
      return []
  }
}

/** The interfaces of ours that an interface extends. */
function parentsOf(node: Tree, file: SourceFile): Declaration[] {
  const names = ((node['extends'] ?? []) as readonly Tree[]).map(each => (each['expression'] as Tree)['name'] as string)
  const known = new Set(statementsOf(file).flatMap(each => [...namesOf(each), ...specifiersOf(each).map(s => s.local)]))
  const exported = statementsOf(file).flatMap(each => namesOf((each['declaration'] ?? each) as Tree))
  return names.filter(name => known.has(name) || exported.includes(name)).map(name => locate(name, file))
}

function inheritedBy(of: string, parent: Declaration): Documented[] {
  return members(of, parent.node, parent.file, undefined)
}

function describeMember(of: string, node: Tree, file: SourceFile, inherited: string | undefined): Documented[] {
  if (node['accessibility'] === 'private' || node['override'] === true) return []
  const own = (node['key'] as Tree | undefined)?.['name']
  if (typeof own !== 'string') return []
  const name = `${of}.${own}`
  const text = textAbove(node, file) ?? inherited
  const type = (node['typeAnnotation'] as Tree | null | undefined)?.['typeAnnotation'] as Tree | undefined
  const isCall = node.type.includes('Method') || type?.type === 'TSFunctionType'
  const at = placeOf(node, file)
  const isNumber = type?.type === 'TSNumberKeyword'
  const deeper = type === undefined ? [] : members(name, type, file, text)
  return [{ name, at, kind: 'member', isCall, isNumber, text }, ...deeper]
}

function placeOf(node: Tree, file: SourceFile): string {
  return `${file.path}:${file.text.slice(0, node.start).split('\n').length}`
}

/** The docstring whose end only white space, or the bar of an alternative, parts from the node. */
function textAbove(node: Tree, file: SourceFile): string | undefined {
  const above = file.comments.findLast(({ end }) => end <= node.start)
  if (above?.type !== 'Block' || !above.value.startsWith('*')) return undefined
  if (!/^\s*\|?\s*$/.test(file.text.slice(above.end, node.start))) return undefined
  return above.value.replaceAll(/^\s*\*+ ?/gm, '').trim()
}
