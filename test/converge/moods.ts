import { crc32c } from '../../src/core/digest.ts'
import type { Clock } from '../../src/core/ports.ts'
import { seededRandom } from '../../src/testing/clock.ts'
import type { FaultyRule, ProviderFault } from '../../src/testing/faulty/rules.ts'

/** How long a provider stays as it is. */
const moodMs = 15_000
/** A request comes at most so much later than its sender gave up, and an answer takes at most so long: together less than the hold. */
export const mostLateMs = 40_000
const mostSlowMs = 5_000

type Mood = 'well' | 'flaky' | 'down' | 'throttling'
const moods: readonly Mood[] = ['well', 'flaky', 'flaky', 'flaky', 'flaky', 'down', 'throttling']

export interface MoodOptions {
  readonly seed: number
  readonly clock: Clock
  /** Faults begin and end here, by the monotonic clock. */
  readonly fromMs: number
  readonly toMs: number
  /** Whether a put or delete may be acknowledged and not done, and a head find nothing where there is something. */
  readonly lies: boolean
}

/** What goes wrong at one provider: for every seed the same, whatever the order in which calls arrive. */
export function moodRules(options: MoodOptions): readonly FaultyRule[] {
  const { seed, clock, fromMs, toMs, lies } = options
  const seen = new Map<string, number>()

  const mood = (): Mood => {
    const now = clock.monotonic()
    if (now < fromMs || now >= toMs) return 'well'
    const at = Math.floor(chance(`${seed} mood ${Math.floor(now / moodMs)}`) * moods.length)
    return moods[at] ?? 'well'
  }
  let rules = 0
  const rule = (on: FaultyRule['on'], when: Mood, share: number, fault: ProviderFault): FaultyRule => {
    const name = rules++
    return {
      ...(on === undefined ? {} : { on }),
      fault,
      key: key => {
        if (mood() !== when) return false
        const about = `${name} ${key}`
        const count = (seen.get(about) ?? 0) + 1
        seen.set(about, count)
        return chance(`${seed} ${about} ${count}`) < share
      },
    }
  }
  const some = <T>(make: (part: number) => T): T[] => [0.1, 0.4, 1].map(make)
  return [
    rule(['put', 'delete', 'head', 'get', 'list'], 'down', 1, {
      kind: 'fail',
      code: 'UNAVAILABLE',
      reason: 'NETWORK',
      outcome: 'unknown',
    }),
    rule(['put', 'delete', 'head', 'get'], 'throttling', 0.4, {
      kind: 'fail',
      code: 'UNAVAILABLE',
      reason: 'THROTTLED',
      retryAfterMs: 2_000,
    }),
    rule(['put', 'delete', 'head', 'get'], 'flaky', 0.06, { kind: 'fail', code: 'UNAVAILABLE', reason: 'SERVER' }),
    rule(['put', 'delete', 'head'], 'flaky', 0.08, { kind: 'lose-answer' }),
    ...some(part => rule(['put', 'delete'], 'flaky', 0.06, { kind: 'late', ms: part * mostLateMs })),
    ...some(part => rule(['put', 'delete', 'head', 'get'], 'flaky', 0.04, { kind: 'slow', ms: part * mostSlowMs })),
    ...(lies
      ? [rule(['put', 'delete'], 'flaky', 0.02, { kind: 'lie' }), rule('head', 'flaky', 0.02, { kind: 'absent' })]
      : []),
  ]
}

/** 0 <= n < 1, of a text. */
export function chance(text: string): number {
  return seededRandom(crc32c(Buffer.from(text), 0)).number()
}
