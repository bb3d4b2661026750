import { type SourceFile, type Tree, walk } from '../house/sources.ts'

/**
 * What of a source file can be reached or not. A point is an offset in its text: Node takes types out in place, so that what V8 counts has the offsets of the source.
 *
 * - `line`: a statement begins there, or the expression that a function is
 * - `branch`: one way of an `if`, `?:`, `switch`, of a default value, or one operand of `&&`, `||` and `??`; as istanbul has it
 * - `error`: an error of ours is made there
 */
export interface Point {
  readonly kind: 'line' | 'branch' | 'error'
  readonly at: number
  /** The way that is not written: of an `if` without `else`. It was gone if `at` was reached more often than this offset. */
  readonly unlike?: number
}

/** Lines and branches, sorted by offset. */
export function pointsOf({ program }: SourceFile): Point[] {
  const points: Point[] = []
  walk(program, (node, ancestors) => {
    const statement = statementOf(node)
    if (statement !== undefined) points.push({ kind: 'line', at: statement })
    for (const { at, unlike } of waysOf(node, ancestors))
      points.push({ kind: 'branch', at, ...(unlike === undefined ? {} : { unlike }) })
  })
  return points.toSorted((a, b) => a.at - b.at)
}

const statements =
  /^(Expression|Return|Throw|If|For|ForIn|ForOf|While|DoWhile|Switch|Try|Break|Continue|Labeled)Statement$/

function statementOf(node: Tree): number | undefined {
  if (statements.test(node.type)) return node.start
  if (node.type === 'VariableDeclarator' && isNode(node['init'])) return node.start
  if (node.type === 'ArrowFunctionExpression' && isNode(node['body']) && node['body'].type !== 'BlockStatement')
    return bare(node['body']).start
  return undefined
}

interface Way {
  readonly at: number
  readonly unlike?: number
}

function waysOf(node: Tree, ancestors: readonly Tree[]): readonly Way[] {
  switch (node.type) {
    case 'IfStatement': {
      const then = inside(node['consequent'] as Tree)
      return [
        { at: then },
        isNode(node['alternate']) ? { at: inside(node['alternate']) } : { at: node.start, unlike: then },
      ]
    }
    case 'ConditionalExpression':
      return [node['consequent'], node['alternate']].map(way => ({ at: bare(way as Tree).start }))
    case 'SwitchStatement':
      return (node['cases'] as readonly Tree[]).map(({ start }) => ({ at: start }))
    case 'LogicalExpression': {
      const outer = ancestors.findLast(({ type }) => type !== 'ParenthesizedExpression')
      return outer?.type === 'LogicalExpression' ? [] : operandsOf(node).map(({ start }) => ({ at: start }))
    }
    case 'AssignmentPattern':
      return [{ at: bare(node['right'] as Tree).start }]
    default:
      return []
  }
}

function operandsOf(node: Tree): readonly Tree[] {
  const operand = bare(node)
  if (operand.type !== 'LogicalExpression') return [operand]
  return [...operandsOf(operand['left'] as Tree), ...operandsOf(operand['right'] as Tree)]
}

/** Without the parentheses around it: V8 counts what stands in them. */
function bare(node: Tree): Tree {
  return node.type === 'ParenthesizedExpression' ? bare(node['expression'] as Tree) : node
}

function inside(node: Tree): number {
  return node.type === 'BlockStatement' ? node.start + 1 : node.start
}

function isNode(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && 'type' in value
}

/** The line and the column of an offset, from 1 on. */
export function placeOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset)
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') }
}
