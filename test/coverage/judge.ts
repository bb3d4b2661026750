import type { ErrorSite } from './errors.ts'
import type { Never } from './never.ts'
import { placeOf, type Point } from './points.ts'
import type { Tally } from './tally.ts'

/** Of these, so much of the branches is to be reached, in percent. */
export const wanted: Readonly<Record<string, number>> = { stage: 90, journal: 90, replicate: 90, read: 90 }

export interface Share {
  readonly all: number
  readonly hit: number
}

export interface PartShare {
  readonly part: string
  readonly line: Share
  readonly branch: Share
}

/** The folder of src, or the file that stands in it by itself. */
export function partOf(path: string): string {
  return (path.split('/')[1] ?? '').replace(/\.ts$/, '')
}

/** What was reached of each part, in the order of their names. */
export function shares(tally: Tally): PartShare[] {
  const parts = [...new Set([...tally.files.keys()].map(partOf))].toSorted()
  return parts.map(part => {
    const files = [...tally.files].filter(([path]) => partOf(path) === part).map(([, file]) => file)
    const share = (kind: Point['kind']): Share => {
      const found = files.flatMap(file => [...file.of(kind)])
      return { all: found.length, hit: found.filter(({ isHit }) => isHit).length }
    }
    return { part, line: linesOf(files.flatMap(file => linesIn(file))), branch: share('branch') }
  })
}

function linesOf(lines: readonly boolean[]): Share {
  return { all: lines.length, hit: lines.filter(Boolean).length }
}

/** A line on which statements begin was reached if one of them was. */
function linesIn(file: NonNullable<ReturnType<Tally['files']['get']>>): boolean[] {
  const lines = new Map<number, boolean>()
  for (const { point, isHit } of file.of('line')) {
    const { line } = placeOf(file.source.text, point.at)
    lines.set(line, (lines.get(line) ?? false) || isHit)
  }
  return [...lines.values()]
}

export function percent({ all, hit }: Share): string {
  return all === 0 ? '–' : `${(Math.floor((hit / all) * 1000) / 10).toFixed(1)} %`
}

/** Parts that fall short of what is wanted. */
export function short(parts: readonly PartShare[]): string[] {
  return parts
    .filter(({ part, branch }) => branch.hit * 100 < (wanted[part] ?? 0) * branch.all)
    .map(({ part, branch }) => `branches of ${part}: ${percent(branch)}, wanted ${wanted[part]} %`)
}

/** Branches of a part that nothing reached: `src/read/get.ts:12:3` and the line. */
export function missed(tally: Tally, part: string): string[] {
  const files = [...tally.files.values()].filter(({ source }) => partOf(source.path) === part)
  return files.flatMap(file =>
    [...file.of('branch')]
      .filter(({ isHit }) => !isHit)
      .map(({ point }) => {
        const { line, column } = placeOf(file.source.text, point.at)
        const text = (file.source.text.split('\n')[line - 1] ?? '').trim()
        const without = point.unlike === undefined ? '' : '(no else) '
        return `${file.source.path}:${line}:${column} ${without}${text.slice(0, 110)}`
      }),
  )
}

export interface SitesJudged {
  readonly all: number
  readonly thrown: number
  /** Neither reached nor listed, or listed and reached, or listed and not there. */
  readonly wrong: readonly string[]
  /** Of each of code, field, rule and reason: the words that stand at places, and those of them at a place that was reached. */
  readonly words: Readonly<
    Record<'code' | 'field' | 'rule' | 'reason', { readonly all: number; readonly thrown: number }>
  >
}

export function judgeSites(tally: Tally, sites: readonly ErrorSite[], never: readonly Never[]): SitesJudged {
  const isThrown = ({ path, at }: ErrorSite) =>
    [...(tally.files.get(path)?.of('error') ?? [])].some(({ point, isHit }) => isHit && point.at === at)
  const thrown = new Set(sites.filter(isThrown))
  const entriesOf = (site: ErrorSite) =>
    never.filter(({ path, text }) => path === site.path && site.text.startsWith(text))
  const said = (site: ErrorSite) => {
    const { line, column } = placeOf(tally.files.get(site.path)?.source.text ?? '', site.at)
    return `${site.path}:${line}:${column} ${site.text.replaceAll(/\s+/g, ' ').slice(0, 140)}`
  }
  const wrong = [
    ...sites.filter(site => !thrown.has(site) && entriesOf(site).length === 0).map(site => `never: ${said(site)}`),
    ...sites
      .filter(site => thrown.has(site) && entriesOf(site).length > 0)
      .map(site => `listed, and made: ${said(site)}`),
    ...strays(sites, never),
  ]
  const words = (name: 'code' | 'field' | 'rule' | 'reason') => ({
    all: new Set(sites.flatMap(site => site[name])).size,
    thrown: new Set([...thrown].flatMap(site => site[name])).size,
  })
  return {
    all: sites.length,
    thrown: thrown.size,
    wrong,
    words: { code: words('code'), field: words('field'), rule: words('rule'), reason: words('reason') },
  }
}

/** Entries that mean no place, or several. */
export function strays(sites: readonly ErrorSite[], never: readonly Never[]): string[] {
  return never.flatMap(({ path, text }) => {
    const count = sites.filter(site => site.path === path && site.text.startsWith(text)).length
    return count === 1 ? [] : [`listed, and at ${count} places: ${path} ${text}`]
  })
}
