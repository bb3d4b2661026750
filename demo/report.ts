import type { Ledger } from './ledger.ts'
import type { Proof } from './proof.ts'
import { padded, styled } from './screen.ts'

/** What was measured, in milliseconds. `undefined`: it did not happen. */
export interface Times {
  readonly detectedMs: number | undefined
  readonly storedMs: number | undefined
  readonly verifiedMs: number | undefined
  readonly totalMs: number
}

export interface Outcome {
  readonly ledger: Ledger
  readonly proofs: readonly Proof[]
  readonly times: Times
  /** What else went wrong, one line each. */
  readonly faults: readonly string[]
}

/** Whether everything went as promised. */
export function isGood({ ledger, proofs, times, faults }: Outcome): boolean {
  return (
    lostOf(proofs) === 0 &&
    ledger.acknowledged.size === ledger.files.length &&
    ledger.failedPuts.length === 0 &&
    ledger.failedReads.length === 0 &&
    faults.length === 0 &&
    Object.values(times).every(ms => ms !== undefined) &&
    proofs.length === 2 &&
    proofs.every(({ right }) => right === ledger.acknowledged.size)
  )
}

/** The table at the end, as text; below it what failed, the first of each kind. */
export function reportOf(outcome: Outcome): string {
  const { ledger, proofs, times, faults } = outcome
  const { acknowledged, failedPuts, failedReads, cutOff, reads } = ledger
  const answered = [...reads].map(([from, count]) => `${count} by ${from === 'local' ? 'local disk' : from}`)
  const allReads = [...reads.values()].reduce((sum, count) => sum + count, 0)
  const rows: [string, string, string][] = [
    ['puts acknowledged', String(acknowledged.size), sizeOf(ledger.acknowledgedBytes)],
    ['puts lost', good(lostOf(proofs)), 'acknowledged, but not whole on both clouds'],
    ['puts failed', good(failedPuts.length), 'refused with an error'],
    ['puts cut off by the kill', String(cutOff), 'never acknowledged, put again after it'],
    ['reads answered', String(allReads), answered.join(', ')],
    ['reads failed', good(failedReads.length), 'an error, wrong bytes, or "not there"'],
    ['slowest read', seconds(ledger.slowestReadMs), 'with the primary silent or on its way back'],
    ['outage detected after', seconds(times.detectedMs), 'until status() said so'],
    ['drained after', seconds(times.storedMs), 'from the return until nothing was owed'],
    ['looked at twice after', seconds(times.verifiedMs), 'from the return; local copies may go'],
    ...proofs.map(({ provider, right, wrong }): [string, string, string] => [
      `proved at ${provider}`,
      wrong.length === 0 && right === acknowledged.size ? styled('green', String(right)) : styled('red', String(right)),
      `of ${acknowledged.size} objects: bytes, type, metadata`,
    ]),
    ['total time', seconds(times.totalMs), ''],
  ]
  const lines = rows.map(([name, value, meaning]) => {
    return `  ${padded(name, 26)}${padded(value, 9)}${styled('dim', meaning)}`.trimEnd()
  })
  const wrong = [
    ...proofs.flatMap(proof =>
      proof.wrong.slice(0, 5).map(each => `${proof.provider}: ${each.key} ${each.difference}`),
    ),
    ...failedPuts.slice(0, 5),
    ...failedReads.slice(0, 5),
  ]
  return [...lines, ...[...faults, ...wrong].map(line => styled('red', `  ${line}`))].join('\n')
}

/** An object that is wrong at both clouds was lost once. */
function lostOf(proofs: readonly Proof[]): number {
  return new Set(proofs.flatMap(({ wrong }) => wrong.map(({ key }) => key))).size
}

function good(count: number): string {
  return styled(count === 0 ? 'green' : 'red', String(count))
}

export function seconds(ms: number | undefined): string {
  return ms === undefined ? 'never' : `${(ms / 1000).toFixed(1)} s`
}

export function sizeOf(bytes: number): string {
  return `${inUnit(bytes, bytes)} ${unitOf(bytes)}`
}

/** `3.1/23.7 MiB` */
export function partOf(bytes: number, all: number): string {
  return `${inUnit(bytes, all)}/${sizeOf(all)}`
}

const units = ['B', 'KiB', 'MiB'] as const

function unitOf(bytes: number): (typeof units)[number] {
  return bytes < 10_000 ? 'B' : bytes < 1_000_000 ? 'KiB' : 'MiB'
}

/** In the unit that suits `of`. */
function inUnit(bytes: number, of: number): string {
  const power = units.indexOf(unitOf(of))
  return power === 0 ? String(bytes) : (bytes / 1024 ** power).toFixed(1)
}
