import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { checkReconcile } from '../../src/holdfast/input/reconcile.ts'
import { memory } from '../../src/providers/memory.ts'

const all = [memory({ name: 'first' }), memory({ name: 'second' }), memory({ name: 'third' })]

function refusal(options: unknown): string {
  try {
    checkReconcile(options, all)
    return 'taken'
  } catch (error) {
    if (error instanceof TypeError) return `TypeError: ${error.message}`
    if (!(error instanceof HoldfastError)) throw error
    expect(error).toMatchObject({ code: 'INVALID', outcome: 'rejected', retryable: false })
    return `${error.field}/${error.rule}: ${error.message}`
  }
}

const bad: readonly (readonly [unknown, string | RegExp])[] = [
  [null, /^TypeError: the options of reconcile must be an object/],
  ['yes', /^TypeError/],
  [{ signal: 'now' }, /^TypeError: signal/],
  [{ repiar: true }, /^repiar\/unknown: .*did you mean repair\?/],
  [{ repair: 'yes' }, /^repair\/type: repair must be true or false, got "yes"/],
  [{ confirm: 1 }, /^confirm\/type/],
  [{ deep: null }, /^deep\/type/],
  [{ attributes: 0 }, /^attributes\/type/],
  [{ resume: 'a' }, /^resume\/type/],
  [{ resume: true, startAfter: 'a' }, /^startAfter\/resume: .*give one of them/],
  [{ prefix: 7 }, /^prefix\/type/],
  [{ prefix: '\ud800' }, /^prefix\/unicode/],
  [{ prefix: 'a'.repeat(5000) }, /^prefix\/length/],
  [{ prefix: '.holdfast/deleted/' }, /^prefix\/reserved: .*Holdfast's own/],
  [{ startAfter: {} }, /^startAfter\/type/],
  [{ providers: 'first' }, /^providers\/type: providers must be a list/],
  [{ providers: [1, 2] }, /^providers\/type/],
  [{ providers: ['first', 'secnd'] }, /^providers\/unknown: .*did you mean second\?/],
  [{ providers: ['first', 'first'] }, /^providers\/duplicate/],
  [{ providers: ['first'] }, /^providers\/few: .*two at least/],
  [{ providers: [] }, /^providers\/few/],
  [{ maxRequestsPerSecond: 0 }, /^maxRequestsPerSecond\/range: .*more than 0/],
  [{ maxRequestsPerSecond: Number.NaN }, /^maxRequestsPerSecond\/range/],
  [{ maxRequestsPerSecond: '5' }, /^maxRequestsPerSecond\/type/],
  [{ maxBytesPerSecond: -1 }, /^maxBytesPerSecond\/range/],
  [{ maxBytesPerSecond: Number.POSITIVE_INFINITY }, /^maxBytesPerSecond\/range/],
  [{ guard: 5 }, /^guard\/type: guard must be an object/],
  [{ guard: { precent: 5 } }, /^guard\.precent\/unknown: .*did you mean percent\?/],
  [{ guard: { percent: 101 } }, /^guard\.percent\/range/],
  [{ guard: { percent: '5' } }, /^guard\.percent\/type/],
  [{ guard: { objects: -1 } }, /^guard\.objects\/range/],
  [{ guard: { objects: 1.5 } }, /^guard\.objects\/range/],
  [{ leftovers: 'keep' }, /^leftovers\/value: .*"report" or "restore" or "delete"/],
]

test.each(bad)('%o is refused, and the message says which option and why', (options, said) => {
  expect(refusal(options)).toMatch(said)
})

test('what is left out has its default; the providers come in the order of the store', () => {
  expect(checkReconcile(undefined, all)).toEqual({
    repair: false,
    prefix: '',
    startAfter: '',
    resume: false,
    attributes: false,
    deep: false,
    providers: all,
    pace: { requestsPerSecond: 500, bytesPerSecond: undefined },
    guard: { objects: 1_000, percent: 5 },
    confirm: false,
    leftovers: 'report',
    signal: undefined,
  })
  const given = {
    providers: ['third', 'first'],
    maxRequestsPerSecond: 0.5,
    maxBytesPerSecond: 1e6,
    guard: { percent: 0.5 },
  }
  expect(checkReconcile(given, all)).toMatchObject({
    providers: [all[0], all[2]],
    pace: { requestsPerSecond: 0.5, bytesPerSecond: 1e6 },
    guard: { objects: 1_000, percent: 0.5 },
  })
})
