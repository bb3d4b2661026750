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

/** As markdown: a line per finding. */
export function tableOf(outcomes: readonly Outcome[]): string {
  const lines = outcomes.flatMap(({ id, name, findings }) =>
    findings.map((finding, i) => {
      const made = Object.entries(finding.from).map(([who, { opsPerSecond, cpuUsPerOp, p50Ms, p99Ms, loopP99Ms }]) => {
        const times =
          p50Ms === undefined || p99Ms === undefined ? '' : `, p50 ${shown(p50Ms)} ms, p99 ${shown(p99Ms)} ms`
        return `${who}: ${shown(opsPerSecond)}/s, ${shown(cpuUsPerOp)} µs CPU${times}, loop p99 ${shown(loopP99Ms)} ms`
      })
      const value = `${shown(finding.value)}${finding.unit === '' ? '' : ` ${finding.unit}`}`
      return `| ${i === 0 ? id : ''} | ${i === 0 ? name : ''} | ${finding.name} | ${value} | ${targetText(finding)} | ${isMet(finding) ? 'yes' : '**no**'} | ${made.join('; ')} |`
    }),
  )
  return ['| id | what | finding | value | target | met | medians |', '|---|---|---|---|---|---|---|', ...lines].join(
    '\n',
  )
}
