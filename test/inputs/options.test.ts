import { describe, expect, test } from 'vitest'
import { objectLimit } from '../../src/holdfast/input/providers.ts'
import { atLeast, checkOptions } from '../../src/holdfast/options.ts'
import { memory } from '../../src/providers/memory.ts'
import { prefixed } from '../../src/providers/prefixed.ts'
import { provider, refusalOf } from './support.ts'

const primary = memory({ name: 'east' })
const secondary = memory({ name: 'west' })
const least = { directory: '/var/lib/photos', primary, secondary }

function refused(more: Record<string, unknown>): ReturnType<typeof refusalOf> {
  return refusalOf(() => checkOptions({ ...least, ...more }))
}

test('the least that can be said gets every default of the documentation', () => {
  expect(checkOptions(least)).toEqual({
    directory: '/var/lib/photos',
    disk: 'durable',
    providers: [primary, secondary],
    ack: 'local',
    ackTimeoutMs: 30_000,
    holdMs: 900_000,
    maxHeldBytes: 5 * 2 ** 30,
    maxStageBytes: 10 * 2 ** 30,
    cacheBytes: 0,
    keys: 'strict',
    tombstoneDays: 90,
    foreign: 'adopt',
    reads: { firstByteMs: 2000, idleMs: 15_000, absence: 'reachable', allowStale: false, hedge: false },
    replication: { run: 'here', concurrency: 16, maxRequestsPerSecond: undefined },
    uploads: { idleMs: 604_800_000 },
  })
})

test('all that can be said is taken', () => {
  const third = memory({ name: 'north' })
  const checked = checkOptions({
    directory: '/var/lib/photos/../photos/',
    disk: 'durable',
    primary,
    secondary,
    mirrors: [third],
    ack: 'all',
    ackTimeoutMs: 0,
    holdMs: 0,
    maxHeldBytes: 1000,
    maxStageBytes: 1000,
    cacheBytes: 5,
    keys: 'encode',
    tombstoneDays: 1,
    foreign: 'report',
    reads: { firstByteMs: 1, idleMs: 1, absence: 'all', allowStale: true, hedge: true },
    replication: { run: 'external', concurrency: 1000, maxRequestsPerSecond: 0.5 },
    uploads: { idleMs: 1 },
  })
  expect(checked).toMatchObject({
    directory: '/var/lib/photos',
    providers: [primary, secondary, third],
    maxHeldBytes: 1000,
    reads: { absence: 'all', allowStale: true },
    replication: { run: 'external', concurrency: 1000, maxRequestsPerSecond: 0.5 },
    uploads: { idleMs: 1 },
  })
})

describe('options that are no options', () => {
  test.each([undefined, null, 5, '/var/lib/photos', [], () => least])('%s is a TypeError', options => {
    expect(() => checkOptions(options)).toThrow(TypeError)
  })

  test('a name that is not known is refused with the one that was meant', () => {
    expect(refused({ directry: '/x' })).toMatchObject({
      code: 'INVALID',
      field: 'directry',
      rule: 'unknown',
      message: 'openHoldfast has no option "directry"; did you mean directory?',
    })
    expect(refused({ maxStagebytes: 5 }).message).toContain('did you mean maxStageBytes?')
    expect(refused({ secondry: secondary }).message).toContain('did you mean secondary?')
    expect(refused({ partSize: 5 })).toMatchObject({ field: 'partSize', rule: 'unknown' })
  })

  test('nor is one inside another', () => {
    expect(refused({ reads: { idleMS: 5 } })).toMatchObject({ field: 'reads.idleMS', rule: 'unknown' })
    expect(refused({ reads: { idleMS: 5 } }).message).toContain('did you mean idleMs?')
    expect(refused({ replication: { concurency: 5 } })).toMatchObject({ field: 'replication.concurency' })
  })
})

describe('providers', () => {
  test('both must be there', () => {
    expect(refusalOf(() => checkOptions({ directory: '/x' }))).toMatchObject({ field: 'primary', rule: 'missing' })
    expect(refusalOf(() => checkOptions({ directory: '/x', secondary }))).toMatchObject({
      field: 'primary',
      rule: 'missing',
    })
    expect(refusalOf(() => checkOptions({ directory: '/x', primary }))).toMatchObject({
      field: 'secondary',
      rule: 'missing',
    })
  })

  test('what is no provider is a TypeError that says what is wrong with it', () => {
    const table: [unknown, RegExp][] = [
      [null, /^primary must be a provider, such as s3\({ bucket }\): got null$/],
      ['s3', /got "s3"/],
      [memory, /got a function \(call it\)/],
      [{}, /got an object without name/],
      [{ ...primary, name: '' }, /without name/],
      [{ ...primary, location: undefined }, /without location/],
      [{ ...primary, refuseKey: undefined }, /"east" has no refuseKey function/],
      [{ ...primary, limits: undefined }, /cannot be read|no limits/],
      [{ ...primary, limits: { ...primary.limits, metadata: {} } }, /no limits/],
      [{ ...primary, capabilities: null }, /no limits or capabilities/],
      [
        new Proxy(
          {},
          {
            get: () => {
              throw new RangeError('mine')
            },
          },
        ),
        /cannot be read/,
      ],
    ]
    for (const [value, message] of table) {
      expect(() => checkOptions({ ...least, primary: value })).toThrow(TypeError)
      expect(() => checkOptions({ ...least, primary: value })).toThrow(message)
    }
    expect(() => checkOptions({ ...least, secondary: 5 })).toThrow(/^secondary must be a provider/)
    expect(() => checkOptions({ ...least, mirrors: [memory(), {}] })).toThrow(/^mirrors\[1\] must be a provider/)
  })

  test('mirrors that are no array are refused', () => {
    expect(refused({ mirrors: memory() })).toMatchObject({ code: 'INVALID', field: 'mirrors', rule: 'type' })
    expect(refused({ mirrors: null })).toMatchObject({ field: 'mirrors', rule: 'type' })
    expect(checkOptions({ ...least, mirrors: [] }).providers).toHaveLength(2)
  })

  test('the same place twice is refused, under whatever name', () => {
    expect(refused({ secondary: primary })).toMatchObject({ code: 'INVALID', field: 'secondary', rule: 'duplicate' })
    const again = provider({ name: 'other', location: primary.location })
    expect(refused({ secondary: again })).toMatchObject({ field: 'secondary', rule: 'duplicate' })
    expect(refused({ mirrors: [memory(), secondary] })).toMatchObject({ field: 'mirrors[1]', rule: 'duplicate' })
  })

  test('a place in another is refused, either way round', () => {
    const inside = prefixed(primary, 'photos/', { name: 'inside' })
    expect(refused({ secondary: inside })).toMatchObject({ field: 'secondary', rule: 'overlap' })
    expect(refused({ primary: inside, secondary: primary })).toMatchObject({ field: 'secondary', rule: 'overlap' })
    const deeper = prefixed(primary, 'photos/2024/', { name: 'deeper' })
    expect(refused({ primary: inside, mirrors: [deeper] })).toMatchObject({ field: 'mirrors[0]', rule: 'overlap' })
  })

  test('places whose names only begin alike are different places', () => {
    const at = (location: string): ReturnType<typeof provider> => provider({ name: location, location })
    const photos = at('gcs://host/photos')
    expect(() => checkOptions({ ...least, primary: photos, secondary: at('gcs://host/photos-2') })).not.toThrow()
    const prefixes = [prefixed(photos, 'a/', { name: 'a' }), prefixed(photos, 'b/', { name: 'b' })]
    expect(() => checkOptions({ ...least, primary: prefixes[0], secondary: prefixes[1] })).not.toThrow()
  })

  test('two of one name are refused, and a name that means the disk', () => {
    const namesake = provider({ name: 'east', location: 'elsewhere' })
    expect(refused({ secondary: namesake })).toMatchObject({ field: 'secondary', rule: 'name' })
    expect(refused({ primary: memory({ name: 'local' }) })).toMatchObject({ field: 'primary', rule: 'name' })
  })

  test('an object may be as large as the provider that takes the least', () => {
    const small = provider({ name: 'small', objectBytes: 100 })
    expect(objectLimit([primary, small, secondary])).toEqual({ bytes: 100, provider: 'small' })
  })
})

describe('directories', () => {
  const table: Record<string, [directory: unknown, rule: string]> = {
    missing: [undefined, 'missing'],
    null: [null, 'type'],
    'a number': [5, 'type'],
    'a URL': [new URL('file:///var'), 'type'],
    empty: ['', 'type'],
    relative: ['photos', 'relative'],
    'relative with dots': ['./photos', 'relative'],
    'a home that nobody expands': ['~/photos', 'relative'],
    'the root': ['/', 'root'],
    'the root in other words': ['/var/..', 'root'],
    'with a NUL': ['/var/\0', 'unicode'],
    'with an unpaired surrogate': ['/var/\ud800', 'unicode'],
  }
  for (const [name, [directory, rule]] of Object.entries(table)) {
    test(`${name} is refused`, () => {
      expect(refused({ directory })).toMatchObject({ code: 'INVALID', field: 'directory', rule })
    })
  }
})

describe('numbers', () => {
  const bounds: Record<string, [least: number, most: number]> = {
    ackTimeoutMs: [0, 2_147_483_647],
    holdMs: [0, 2_147_483_647],
    maxHeldBytes: [0, 10 * 2 ** 30],
    maxStageBytes: [1, Number.MAX_SAFE_INTEGER],
    cacheBytes: [0, Number.MAX_SAFE_INTEGER],
    tombstoneDays: [1, 36_500],
    'reads.firstByteMs': [1, 2_147_483_647],
    'reads.idleMs': [1, 2_147_483_647],
    'replication.concurrency': [1, 1000],
    'uploads.idleMs': [1, 36_500 * 86_400_000],
  }
  const nested = (field: string, value: unknown): Record<string, unknown> => {
    const [outer = '', inner] = field.split('.')
    return { [outer]: inner === undefined ? value : { [inner]: value } }
  }
  describe.each(Object.entries(bounds))('%s', (field, [lowest, highest]) => {
    test.each([lowest - 1, highest + 1, -1, Number.NaN, Number.POSITIVE_INFINITY, 1.5, 2 ** 60])(
      '%s is refused',
      value => {
        expect(refused(nested(field, value))).toMatchObject({ code: 'INVALID', field, rule: 'range' })
      },
    )

    test.each(['5', null, true, 5n, {}, [5]])('%s is no number', value => {
      expect(refused(nested(field, value))).toMatchObject({ code: 'INVALID', field, rule: 'type' })
    })

    test('its bounds are taken', () => {
      for (const value of [lowest, highest]) {
        expect(() => checkOptions({ ...least, ...nested(field, value) })).not.toThrow()
      }
    })
  })

  test('the message says the field, what came and what is allowed', () => {
    expect(refused({ replication: { concurrency: 1e9 } }).message).toBe(
      'replication.concurrency must be a whole number from 1 to 1000, got 1000000000',
    )
  })

  test('what is held is part of the stage', () => {
    expect(checkOptions({ ...least, maxStageBytes: 101 }).maxHeldBytes).toBe(50)
    expect(refused({ maxStageBytes: 100, maxHeldBytes: 101 })).toMatchObject({ field: 'maxHeldBytes', rule: 'range' })
    expect(refused({ maxStageBytes: 100, maxHeldBytes: 101 }).message).toContain('maxStageBytes')
  })

  test('a hold ends while delete markers are still there', () => {
    expect(checkOptions({ ...least, tombstoneDays: 2, holdMs: 86_400_000 }).holdMs).toBe(86_400_000)
    expect(refused({ tombstoneDays: 2, holdMs: 86_400_001 })).toMatchObject({ field: 'holdMs', rule: 'range' })
  })

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e7])('%s requests per second are refused', value => {
    const field = 'replication.maxRequestsPerSecond'
    expect(refused({ replication: { maxRequestsPerSecond: value } })).toMatchObject({ field, rule: 'range' })
    expect(refused({ replication: { maxRequestsPerSecond: '5' } })).toMatchObject({ field, rule: 'type' })
  })
})

describe('words', () => {
  const fields = ['disk', 'ack', 'keys', 'foreign', 'reads.absence', 'replication.run']
  describe.each(fields)('%s', field => {
    const [outer = '', inner] = field.split('.')
    const given = (value: unknown): Record<string, unknown> => ({
      [outer]: inner === undefined ? value : { [inner]: value },
    })

    test.each(['', 'bogus', 'LOCAL'])('"%s" is refused', value => {
      expect(refused(given(value))).toMatchObject({ code: 'INVALID', field, rule: 'value' })
    })

    test.each([5, null, true, []])('%s is no word', value => {
      expect(refused(given(value))).toMatchObject({ code: 'INVALID', field, rule: 'type' })
    })
  })

  test.each(['reads', 'replication', 'uploads'])('%s must be an object', field => {
    for (const value of [null, 5, 'x', []]) {
      expect(refused({ [field]: value })).toMatchObject({ code: 'INVALID', field, rule: 'type' })
    }
  })

  test('yes is no boolean', () => {
    expect(refused({ reads: { allowStale: 'yes' } })).toMatchObject({ field: 'reads.allowStale', rule: 'type' })
    expect(refused({ reads: { hedge: 1 } })).toMatchObject({ field: 'reads.hedge', rule: 'type' })
  })
})

test('an ephemeral disk never acknowledges alone', () => {
  const ack = (options: object): string => checkOptions({ ...least, disk: 'ephemeral', ...options }).ack
  expect(ack({})).toBe('one')
  expect(ack({ ack: 'local' })).toBe('one')
  expect(ack({ ack: 'all' })).toBe('all')
  expect(atLeast('ephemeral', 'local')).toBe('one')
  expect(atLeast('durable', 'local')).toBe('local')
})
