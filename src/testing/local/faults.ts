import type { Fault, FaultRule } from './cloud.ts'

/** What a request is about, in the words that rules match by. */
export interface RequestName {
  readonly operation: string
  readonly bucket: string | undefined
  readonly key: string | undefined
  /** Whether an answer without entries makes sense: `empty-list` passes by everything else. */
  readonly listing: boolean
}

/** What is to be done to one request. */
export interface Treatment {
  readonly fault: Fault
  /** Resolves when the rule is taken back: what it stalled goes on. */
  readonly healed: Promise<void>
}

/** The rules in force, oldest first. */
export interface FaultBook {
  add(rule: FaultRule): string
  /** One, or all. */
  heal(id: string | undefined): void
  /**
   * Counts this request. The first rule that matches, is past its `skip` and is not used up decides; a rule that still skips lets the
   * request go on to the next rule.
   */
  decide(method: string, name: RequestName): Treatment | undefined
}

interface Active {
  readonly rule: FaultRule
  readonly healed: PromiseWithResolvers<void>
  skipped: number
  treated: number
}

export function faultBook(): FaultBook {
  const rules = new Map<string, Active>()
  let added = 0

  return {
    add(rule) {
      const id = `fault-${++added}`
      rules.set(id, { rule, healed: Promise.withResolvers<void>(), skipped: 0, treated: 0 })
      return id
    },
    heal(id) {
      for (const [each, active] of rules) {
        if (id !== undefined && id !== each) continue
        rules.delete(each)
        active.healed.resolve()
      }
    },
    decide(method, name) {
      for (const active of rules.values()) {
        const { rule } = active
        if (active.treated >= (rule.times ?? Number.POSITIVE_INFINITY) || !matches(rule, method, name)) continue
        if (active.skipped < (rule.skip ?? 0)) {
          active.skipped++
          continue
        }
        active.treated++
        return { fault: rule.fault, healed: active.healed.promise }
      }
      return undefined
    },
  }
}

function matches({ match = {}, fault }: FaultRule, method: string, name: RequestName): boolean {
  return (
    (fault.kind !== 'empty-list' || name.listing) &&
    (match.method === undefined || match.method.toUpperCase() === method) &&
    (match.operation === undefined || match.operation === name.operation) &&
    (match.bucket === undefined || match.bucket === name.bucket) &&
    (match.key === undefined || match.key === name.key) &&
    (match.keyPrefix === undefined || (name.key?.startsWith(match.keyPrefix) ?? false))
  )
}
