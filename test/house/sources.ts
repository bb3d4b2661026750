import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { type Comment, parseSync } from 'oxc-parser'

export const root: string = join(import.meta.dirname, '..', '..')

/** A node of the syntax tree, as ESTree and its TypeScript extension name things. */
export interface Tree {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [name: string]: unknown
}

export interface Import {
  /** What stands between the quotes. */
  readonly from: string
  /** The file that it means, relative to the repository; `undefined` for a package. */
  readonly file: string | undefined
  /** Gone when the types are: `import type`, only `type` names, `import('…').Name`. */
  readonly isType: boolean
}

export interface SourceFile {
  /** Relative to the repository, with `/`. */
  readonly path: string
  readonly text: string
  readonly lines: number
  readonly program: Tree
  readonly comments: readonly Comment[]
  readonly imports: readonly Import[]
}

/** All TypeScript files under a folder of the repository, parsed, sorted by path. */
export function sourcesIn(folder: string): SourceFile[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  const paths = names.filter(name => name.endsWith('.ts')).map(name => `${folder}/${name.replaceAll('\\', '/')}`)
  return paths.toSorted().map(parse)
}

function parse(path: string): SourceFile {
  const text = readFileSync(join(root, path), 'utf8')
  const { program, comments, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`)
  const tree = program as unknown as Tree
  return { path, text, lines: text.split('\n').length - 1, program: tree, comments, imports: importsOf(path, tree) }
}

function importsOf(path: string, program: Tree): Import[] {
  const found: Import[] = []
  const add = (source: unknown, isType: boolean) => {
    const { value } = source as { readonly value?: unknown }
    if (typeof value !== 'string') throw new Error(`${path}: an import of something that is no plain text`)
    const isRelative = value.startsWith('.')
    const file = isRelative ? relative('.', join(dirname(path), value)).replaceAll('\\', '/') : undefined
    found.push({ from: value, file, isType })
  }
  walk(program, node => {
    switch (node.type) {
      case 'ImportDeclaration':
        return add(node['source'], node['importKind'] === 'type' || allTypes(node, 'importKind'))
      case 'ExportNamedDeclaration':
      case 'ExportAllDeclaration':
        if (node['source'] === null) return
        return add(node['source'], node['exportKind'] === 'type' || allTypes(node, 'exportKind'))
      case 'ImportExpression':
        // Of a file that is known only when it runs: architecture.test.ts says who may.
        if ((node['source'] as Tree).type === 'Literal') add(node['source'], false)
        return
      case 'TSImportType':
        return add(node['source'], true)
    }
  })
  return found
}

function allTypes(node: Tree, kind: string): boolean {
  const names = (node['specifiers'] ?? []) as readonly Tree[]
  return names.length > 0 && names.every(name => name[kind] === 'type')
}

/** Every node, parents first, with those that it is in, the nearest last. */
export function walk(node: Tree, visit: (node: Tree, ancestors: readonly Tree[]) => void): void {
  step(node, [], visit)
}

function step(node: Tree, ancestors: Tree[], visit: (node: Tree, ancestors: readonly Tree[]) => void): void {
  visit(node, ancestors)
  ancestors.push(node)
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isTree(child)) step(child, ancestors, visit)
  }
  ancestors.pop()
}

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && typeof (value as Tree).type === 'string'
}

/** The name of what is read from an object: `put` of `a.put` and of `a['put']`. */
export function memberName(node: Tree): string | undefined {
  if (node.type !== 'MemberExpression') return undefined
  const property = node['property'] as Tree
  if (node['computed'] === true) return typeof property['value'] === 'string' ? property['value'] : undefined
  return property['name'] as string
}
