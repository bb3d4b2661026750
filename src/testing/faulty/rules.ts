import type { ErrorCode, Outcome, Reason } from '../../core/errors.ts'

/** The calls of a provider that can go wrong. */
export type FaultyOperation = 'learn' | 'put' | 'head' | 'get' | 'delete' | 'list' | 'sign' | 'abandon'

/**
 * What a faulty provider does wrong, and what it was asked. A plain object that belongs to the test: change `rules` at any time, the
 * next call goes by them; empty them to heal. May be shared by several providers.
 *
 * ```ts
 * const faults: Faults = {}
 * const secondary = faulty(memory(), faults)
 * faults.rules = [{ on: 'put', times: 2, fault: outage }]
 * ```
 */
export interface Faults {
  /** The first that matches a call, and is not used up, decides. */
  rules?: readonly FaultyRule[]
  /** Every call, oldest first; filled by the provider. Set to `[]` to forget. */
  calls?: FaultyCall[]
}

/** Which calls are treated how. */
export interface FaultyRule {
  /** Which calls. Default all that this fault can be about. */
  readonly on?: FaultyOperation | readonly FaultyOperation[]
  /** The key, or a look at it; of a listing, the prefix. Default any. `learn` has none, and matches only without this. */
  readonly key?: string | RegExp | ((key: string) => boolean)
  /** Lets this many matching calls pass first. Default 0. */
  readonly skip?: number
  /** Then treats this many. Default all. The rule object counts, so that the same one, given again, goes on where it was. */
  readonly times?: number
  readonly fault: ProviderFault
}

/** One thing that goes wrong, and with which calls it can. */
export type ProviderFault =
  /** Rejects, having done nothing. Default `retryable` as the code says, `outcome` of writes 'rejected'. */
  | {
      readonly kind: 'fail'
      readonly code: ErrorCode
      readonly reason: Reason
      readonly message?: string
      readonly retryable?: boolean
      readonly retryAfterMs?: number
      readonly outcome?: Outcome
    }
  /** Does nothing, and never answers until the signal aborts. */
  | { readonly kind: 'hang' }
  /** Waits this long, then does the call. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** Waits for the test before it does the call, or before it says how that went. What `run` throws comes out. */
  | { readonly kind: 'before' | 'after'; readonly run: (call: FaultyCall) => Promise<void> }
  /** put, delete, head, get, learn, abandon: does the call, then rejects with UNAVAILABLE, NETWORK, outcome unknown. */
  | { readonly kind: 'lose-answer' }
  /** put, delete: rejects at once, outcome unknown, and does the call this much later: see `applied` of the call. */
  | { readonly kind: 'late'; readonly ms: number }
  /** put, delete: says that all is well, and does nothing. */
  | { readonly kind: 'lie' }
  /** head, get: nothing there. */
  | { readonly kind: 'absent' }
  /** get, put, list: breaks with UNAVAILABLE, NETWORK after this many bytes of the body, or entries of the listing. */
  | { readonly kind: 'cut'; readonly after: number }
  /** get, put, list: nothing more comes after this many bytes or entries until the signal aborts. */
  | { readonly kind: 'stall'; readonly after: number }
  /** get, list: ends after this many bytes or entries as if that were all. Against the contract, on purpose. */
  | { readonly kind: 'short'; readonly after: number }
  /** get: at most this many bytes at a time, this long before each. */
  | { readonly kind: 'drip'; readonly bytes: number; readonly ms: number }
  /** get: flips the lowest bit of this byte of the body. put: stores the object so. Past the end: no effect. */
  | { readonly kind: 'corrupt'; readonly atByte: number }
  /** put: stores the bytes without their metadata, as `application/x-stripped`. */
  | { readonly kind: 'strip' }
  /** list: nothing. */
  | { readonly kind: 'empty-list' }

/** One call that a faulty provider was asked for. */
export interface FaultyCall {
  readonly operation: FaultyOperation
  readonly key: string | undefined
  /** Whether the put or delete had a condition, or the get a pin. */
  readonly conditional: boolean
  /** Bytes that a put was about. */
  readonly size: number | undefined
  /** When it began, by the clock that `faulty` was given. */
  readonly at: number
  readonly fault: ProviderFault['kind'] | undefined
  /** Of a get: whether it answered; its body comes after that. Of a listing: whether it was gone through. */
  state: 'running' | 'resolved' | 'rejected'
  /** Of a late one: resolves when it was done after all, whatever came of it. */
  applied?: Promise<void>
}

/** The network is down: nobody knows of a write whether it arrived. (It did not.) */
export const outage: ProviderFault = { kind: 'fail', code: 'UNAVAILABLE', reason: 'NETWORK', outcome: 'unknown' }
/** The provider has closed the account. */
export const accountClosed: ProviderFault = { kind: 'fail', code: 'DENIED', reason: 'ACCOUNT' }
/** Too many requests. */
export const throttled: ProviderFault = { kind: 'fail', code: 'UNAVAILABLE', reason: 'THROTTLED' }

const every: readonly FaultyOperation[] = ['learn', 'put', 'head', 'get', 'delete', 'list', 'sign', 'abandon']

/** Which calls a fault can be about. */
const possible: Readonly<Record<ProviderFault['kind'], readonly FaultyOperation[]>> = {
  fail: every,
  hang: every,
  slow: every,
  before: every,
  after: every,
  'lose-answer': ['put', 'delete', 'head', 'get', 'learn', 'abandon'],
  late: ['put', 'delete'],
  lie: ['put', 'delete'],
  absent: ['head', 'get'],
  cut: ['get', 'put', 'list'],
  stall: ['get', 'put', 'list'],
  short: ['get', 'list'],
  drip: ['get'],
  corrupt: ['get', 'put'],
  strip: ['put'],
  'empty-list': ['list'],
}

const matches = new WeakMap<FaultyRule, number>()

/** The fault that this call gets, and one use of its rule. TypeError where a rule asks for what cannot be. */
export function decide(
  rules: readonly FaultyRule[],
  operation: FaultyOperation,
  key: string | undefined,
): ProviderFault | undefined {
  for (const rule of rules) {
    if (!isAbout(rule, operation) || !hasKey(rule, key)) continue
    const count = (matches.get(rule) ?? 0) + 1
    matches.set(rule, count)
    const skip = rule.skip ?? 0
    if (count > skip && count <= skip + (rule.times ?? Infinity)) return rule.fault
  }
  return undefined
}

function isAbout(rule: FaultyRule, operation: FaultyOperation): boolean {
  const can = possible[rule.fault.kind]
  if (rule.on === undefined) return can.includes(operation)
  const asked = typeof rule.on === 'string' ? [rule.on] : rule.on
  const impossible = asked.find(one => !can.includes(one))
  if (impossible !== undefined) throw new TypeError(`there is no fault '${rule.fault.kind}' of ${impossible}`)
  return asked.includes(operation)
}

function hasKey({ key: wanted }: FaultyRule, key: string | undefined): boolean {
  if (wanted === undefined) return true
  if (key === undefined) return false
  if (typeof wanted === 'string') return key === wanted
  return typeof wanted === 'function' ? wanted(key) : key.search(wanted) >= 0
}
