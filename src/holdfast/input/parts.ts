import { invalid, shown } from '../../core/errors.ts'
import { mostParts, type PartRun } from '../../core/layout.ts'
import { reading, whole } from './take.ts'

/**
 * A copy of the parts that a caller names; runs of equal parts become one. INVALID, field `parts`, rule `type`, `count` (none, or over 10,000 in
 * all), or `range`.
 */
export function checkParts(parts: unknown): readonly PartRun[] | undefined {
  if (parts === undefined) return undefined
  return reading('parts', 'parts', () => {
    if (!Array.isArray(parts)) throw refused(parts)
    if (parts.length > mostParts) throw invalid('parts', 'count', `parts has ${parts.length} runs, limit ${mostParts}`)
    const runs: { count: number; bytes: number }[] = []
    let all = 0
    for (const run of parts as readonly unknown[]) {
      const { count, bytes } = checkRun(run)
      const last = runs.at(-1)
      if (last?.bytes === bytes) last.count += count
      else runs.push({ count, bytes })
      all += count
    }
    if (all >= 1 && all <= mostParts) return runs
    throw invalid('parts', 'count', `parts must be from 1 to ${mostParts} in all, got ${all}`)
  })
}

function checkRun(run: unknown): PartRun {
  if (typeof run !== 'object' || run === null) throw refused(run)
  const unknown = Object.keys(run).find(name => name !== 'count' && name !== 'bytes')
  if (unknown !== undefined) throw refused(unknown)
  const { count, bytes } = run as Record<string, unknown>
  return { count: whole('parts', count, 1, mostParts), bytes: whole('parts', bytes, 0, Number.MAX_SAFE_INTEGER) }
}

function refused(got: unknown): Error {
  return invalid('parts', 'type', `parts must be an array of { count, bytes }, got ${shown(got)}`)
}
