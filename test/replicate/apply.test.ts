import { expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import { identityKey } from '../../src/core/key.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { makeVersion, type Version } from '../../src/core/version.ts'
import type { Task, WriteRow } from '../../src/journal/contract.ts'
import { memory } from '../../src/providers/memory.ts'
import { apply, type Applying } from '../../src/replicate/apply.ts'
import { writeMarker } from '../../src/replicate/marker.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { bodyAt } from '../support/store.ts'
import { putAt } from './mending.ts'

// One write at one provider, where others write the same key.

const clock = manualClock(Date.UTC(2026, 0, 1))
const versionAt = (ms: number): Version => makeVersion(clock.now() + ms, 0, '00000000000000aa')
const [older, mine, newer, ahead] = [-2_000, -1_000, -500, 3_600_000].map(versionAt) as [
  Version,
  Version,
  Version,
  Version,
]

function applying(provider: Provider, kind: 'put' | 'delete', more: Partial<WriteRow> = {}): Applying {
  const bytes = Buffer.from(kind === 'put' ? 'mine' : '')
  const digests = digestsOf(bytes)
  const write = {
    key: 'k',
    kind,
    state: 'open',
    origin: 'app',
    version: mine,
    acceptedAt: clock.now(),
    size: bytes.byteLength,
    ...digests,
    attributes: { contentType: 'text/plain', metadata: {} },
    layout: { etag: digests.md5, parts: [{ count: 1, bytes: bytes.byteLength }] },
    ...more,
  }
  return {
    task: { write, replica: {}, known: undefined } as unknown as Task,
    target: { id: 1, provider, capabilities: provider.capabilities, skew: { offsetMs: 0 } },
    source: bytesSource(bytes, digests),
    upload: noMemo,
    now: () => clock.now(),
    signal: AbortSignal.timeout(10_000),
    mayBeThere: false,
    mayArrive: false,
  }
}

const ways: readonly (readonly [what: string, more: Partial<WriteRow>])[] = [
  ['put', {}],
  ['put that replaces a version', { state: 'tentative', condition: { version: older } }],
]
test.each(ways)(
  'a %s that finds its key replaced at each try is tried later: none of the others is lost to it (I12)',
  async (_what, more) => {
    const inner = memory({ name: 'a', clock })
    await putAt(inner, 'k', 'of another', { version: older })
    let tries = 0
    const replaced = () => putAt(inner, 'k', `of another ${++tries}`, { version: older })
    const faults: Faults = { rules: [{ on: 'put', key: 'k', fault: { kind: 'before', run: replaced } }] }
    const error: unknown = await apply(applying(faulty(inner, faults), 'put', more)).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(HoldfastError)
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'SERVER', outcome: 'rejected', key: 'k', provider: 'a' })
    expect(tries).toBe(8)
    expect(String(await bodyAt(inner, 'k'))).toBe('of another 8')
  },
)

test.each(['put', 'delete'] as const)(
  'a %s gives way to what is newer, and does not follow what has the stamp of a clock far ahead: it is blocked, and both stay (M8, I12, I41)',
  async kind => {
    const provider = memory({ name: 'a', clock })
    await putAt(provider, 'k', 'newer', { version: newer })
    await expect(apply(applying(provider, kind))).resolves.toMatchObject({ is: 'overtaken', by: newer })
    await putAt(provider, 'k', 'ahead', { version: ahead })
    await expect(apply(applying(provider, kind))).rejects.toMatchObject({
      code: 'BLOCKED',
      reason: 'CLOCK',
      key: 'k',
      retryable: false,
    })
    expect(String(await bodyAt(provider, 'k'))).toBe('ahead')
  },
)

test.each(['put', 'delete'] as const)(
  'a %s is settled by no delete with the stamp of a clock far ahead, and is not sent with such a stamp of its own (M8, I13, I41)',
  async kind => {
    const provider = memory({ name: 'a', clock })
    const blocked = (reason: string) => ({ code: 'BLOCKED', reason, key: 'k', retryable: false })
    await expect(apply(applying(provider, kind, { version: ahead }))).rejects.toMatchObject(blocked('CLOCK'))
    // So old that another node may have deleted the key since.
    const late = applying(provider, kind, { acceptedAt: clock.now() - 3_600_000 })
    await writeMarker(late.target, 'k', newer, late.now, late.signal)
    await expect(apply(late)).resolves.toMatchObject({ is: 'overtaken', by: newer })
    await writeMarker(late.target, 'k', ahead, late.now, late.signal)
    await expect(apply(late)).rejects.toMatchObject(blocked('CONFLICT'))
    expect(await bodyAt(provider, 'k')).toBeUndefined()
  },
)

test.each(['put', 'delete'] as const)(
  'a %s is not taken for one from a clock ahead by what was heard too late of the clock of its provider: it is asked for the time once more (I41)',
  async kind => {
    const inner = memory({ name: 'a', clock })
    await putAt(inner, identityKey, '{}')
    // As of an answer that was read twenty minutes after it came, since the process stood still.
    const late = applying(inner, kind)
    late.target.skew.offsetMs = -20 * 60_000
    expect(await apply(late)).toMatchObject({ is: 'stored' })
    expect(late.target.skew.offsetMs).toBe(0)
    const unheard = applying(memory({ name: 'b', clock }), kind)
    unheard.target.skew.offsetMs = -20 * 60_000
    await expect(apply(unheard), 'nobody tells the time there').rejects.toMatchObject({ reason: 'CLOCK' })
  },
)

test('a conditional delete with a try whose answer was lost is not said to be refused, whatever is there now: what it was to delete is gone (I15)', async () => {
  const inner = memory({ name: 'a', clock })
  const wanted = { state: 'tentative', condition: { version: newer } } as const
  await putAt(inner, 'k', 'of a clock behind', { version: older })
  const tried = { ...applying(inner, 'delete', wanted), mayBeThere: true, mayArrive: true }
  expect(await apply(tried)).toMatchObject({ is: 'refused', code: 'UNAVAILABLE', outcome: 'unknown' })
  const first = applying(inner, 'delete', wanted)
  expect(await apply(first)).toMatchObject({ is: 'refused', code: 'PRECONDITION', outcome: 'rejected' })
})
