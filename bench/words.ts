import type { Finding, Outcome, Row } from './contract.ts'

/** What the main process and the process of a row say to each other. */
export type Told =
  | { readonly is: 'line'; readonly text: string }
  | { readonly is: 'done'; readonly findings: readonly Finding[] }

export function isMet({ value, target }: Finding): boolean {
  return 'atLeast' in target ? value >= target.atLeast : value <= target.atMost
}

/** 1 where it is just met, less where it is missed. */
function reach({ value, target }: Finding): number {
  return 'atLeast' in target ? value / target.atLeast : target.atMost / value
}

export function targetText({ unit, target }: Finding): string {
  const [sign, limit] = 'atLeast' in target ? ['≥', target.atLeast] : ['≤', target.atMost]
  return `${sign} ${limit}${unit === '' ? '' : ` ${unit}`}`
}

export function outcomeOf({ id, name }: Pick<Row, 'id' | 'name'>, findings: readonly Finding[]): Outcome {
  const worst = findings.toSorted((a, b) => reach(a) - reach(b))[0]
  if (worst === undefined) throw new Error(`row ${id} found nothing`)
  return {
    id,
    name,
    ratio: worst.value,
    target: targetText(worst),
    met: findings.every(isMet),
    findings: findings.map(finding => ({ ...finding, met: isMet(finding) })),
  }
}

const shown = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)

const valueText = ({ value, unit }: Finding): string => `${shown(value)}${unit === '' ? '' : ` ${unit}`}`

/** As markdown: a line per finding, with all that it was made of. */
export function tableOf(outcomes: readonly Outcome[]): string {
  return table(
    ['id', 'what', 'finding', 'value', 'target', 'met', 'medians'],
    lines(outcomes, finding => {
      const made = Object.entries(finding.from).map(([who, { opsPerSecond, cpuUsPerOp, p50Ms, p99Ms, loopP99Ms }]) => {
        const times =
          p50Ms === undefined || p99Ms === undefined ? '' : `, p50 ${shown(p50Ms)} ms, p99 ${shown(p99Ms)} ms`
        return `${who}: ${shown(opsPerSecond)}/s, ${shown(cpuUsPerOp)} µs CPU${times}, loop p99 ${shown(loopP99Ms)} ms`
      })
      return [made.join('; ')]
    }),
  )
}

/** As markdown: a line per finding. */
export function findingsTable(outcomes: readonly Outcome[]): string {
  return table(
    ['id', 'what', 'finding', 'value', 'target', 'met'],
    lines(outcomes, () => []),
  )
}

function lines(outcomes: readonly Outcome[], more: (finding: Finding) => readonly string[]): readonly string[][] {
  return outcomes.flatMap(({ id, name, findings }) =>
    findings.map((finding, i) => [
      ...(i === 0 ? [String(id), name] : ['', '']),
      finding.name,
      valueText(finding),
      targetText(finding),
      isMet(finding) ? 'yes' : '**no**',
      ...more(finding),
    ]),
  )
}

/** As markdown: a line for each that was measured, once per row. */
export function mediansTable(outcomes: readonly Outcome[]): string {
  const time = (ms: number | undefined): string => (ms === undefined ? '' : shown(ms))
  const measured = outcomes.flatMap(({ id, findings }) => {
    const all = new Map(findings.flatMap(({ from }) => Object.entries(from)))
    return [...all].map(([who, { opsPerSecond, cpuUsPerOp, p50Ms, p99Ms, loopP99Ms }]) => [
      String(id),
      who,
      shown(opsPerSecond),
      shown(cpuUsPerOp),
      time(p50Ms),
      time(p99Ms),
      shown(loopP99Ms),
    ])
  })
  return table(['id', 'what', 'per second', 'CPU, µs', 'p50, ms', 'p99, ms', 'event loop p99, ms'], measured)
}

export function table(head: readonly string[], body: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), `|${'---|'.repeat(head.length)}`, ...body.map(line)].join('\n')
}
