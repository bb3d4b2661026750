import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import { root, type SourceFile } from '../house/sources.ts'
import type { Point } from './points.ts'

/** What V8 writes where `NODE_V8_COVERAGE` says: of each script its functions, each with the ranges of it that were run equally often, the whole first. */
export interface Report {
  readonly result: readonly Script[]
}

export interface Script {
  readonly url: string
  readonly functions: readonly { readonly ranges: readonly Range[] }[]
}

interface Range {
  readonly startOffset: number
  readonly endOffset: number
  readonly count: number
}

/** The points of the sources, and which of them any thread of any process came by. */
export class Tally {
  readonly files: ReadonlyMap<string, Counted>
  private readonly byUrl = new Map<string, Counted>()

  constructor(sources: readonly { readonly source: SourceFile; readonly points: readonly Point[] }[]) {
    this.files = new Map(sources.map(({ source, points }) => [source.path, new Counted(source, points)]))
    for (const [path, counted] of this.files) this.byUrl.set(pathToFileURL(join(root, path)).href, counted)
  }

  add(report: Report): void {
    for (const script of report.result) this.byUrl.get(script.url.replace(/[?#].*$/, ''))?.add(script)
  }
}

export class Counted {
  readonly source: SourceFile
  readonly points: readonly Point[]
  private readonly hits: boolean[]
  private readonly offsets: readonly number[]

  constructor(source: SourceFile, points: readonly Point[]) {
    this.source = source
    this.points = points
    this.hits = points.map(() => false)
    this.offsets = [...new Set(points.flatMap(({ at, unlike }) => [at, unlike ?? at]))].toSorted((a, b) => a - b)
  }

  add(script: Script): void {
    const counts = countsAt(this.offsets, script)
    for (const [index, { at, unlike }] of this.points.entries()) {
      const less = unlike === undefined ? 0 : (counts.get(unlike) ?? 0)
      if ((counts.get(at) ?? 0) > less) this.hits[index] = true
    }
  }

  isHit(point: Point): boolean {
    return this.hits[this.points.indexOf(point)] === true
  }

  /** The points of a kind, each with whether it was reached. */
  *of(kind: Point['kind']): Iterable<{ readonly point: Point; readonly isHit: boolean }> {
    for (const [index, point] of this.points.entries())
      if (point.kind === kind) yield { point, isHit: this.hits[index] === true }
  }
}

/**
 * How often each offset was run: as often as the innermost range around it. A function that begins right there is a value that is made, not its body. `offsets` are
 * sorted.
 */
function countsAt(offsets: readonly number[], { functions }: Script): Map<number, number> {
  const ranges = functions.flatMap(each => each.ranges.map((range, index) => ({ ...range, isFunction: index === 0 })))
  ranges.sort(
    (a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset || Number(a.isFunction) - Number(b.isFunction),
  )
  const counts = new Map<number, number>()
  const open: typeof ranges = []
  let next = 0
  for (const offset of offsets) {
    for (let range = ranges[next]; range !== undefined && range.startOffset <= offset; range = ranges[++next]) {
      while ((open.at(-1)?.endOffset ?? Infinity) <= range.startOffset) open.pop()
      open.push(range)
    }
    while ((open.at(-1)?.endOffset ?? Infinity) <= offset) open.pop()
    const around = open.findLast(
      ({ startOffset, isFunction }) => !(isFunction && startOffset === offset && startOffset > 0),
    )
    counts.set(offset, around?.count ?? 0)
  }
  return counts
}
