import { expect, test } from 'vitest'
import { markerKey } from '../../src/core/key.ts'
import type { Provider } from '../../src/core/provider.ts'
import { makeVersion, type Version } from '../../src/core/version.ts'
import { memory } from '../../src/providers/memory.ts'
import { expire, isExpiryDue } from '../../src/replicate/expiry.ts'
import { writeMarker } from '../../src/replicate/marker.ts'
import type { Target } from '../../src/replicate/target.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { weak } from '../converge/weak.ts'
import { bodyAt, keysOf } from '../support/store.ts'
import { dayMs, putPast } from '../store/nodes.ts'

const never = new AbortController().signal
const tombstoneMs = 90 * dayMs

function scene(wrap: (provider: Provider) => Provider = provider => provider) {
  const time = { ms: Date.UTC(2026, 0, 1) }
  const clock = { now: () => time.ms, monotonic: () => time.ms, sleep: async () => {} }
  const inner = memory({ clock })
  const provider = wrap(inner)
  const skew: Target['skew'] = { offsetMs: 0 }
  const target: Target = { id: 1, provider, capabilities: provider.capabilities, skew }
  const jobs = new Map<string, string>()
  const open = new Set<string>()
  const journal = {
    isOpen: (key: string) => open.has(key),
    job: (name: string) => jobs.get(name),
    saveJob: async (name: string, state: string | undefined) => void jobs.set(name, state ?? ''),
  }
  const deps = { journal, tombstoneMs, now: clock.now }
  return {
    time,
    inner,
    skew,
    open,
    version: (): Version => makeVersion(time.ms, 0, '00000000000000aa'),
    mark: (key: string, version: Version) => writeMarker(target, key, version, clock.now, never),
    step: () => expire(deps, target, never),
    async pass() {
      let steps = 1
      while (await expire(deps, target, never)) steps++
      return steps
    },
    isDue: () => isExpiryDue(deps, 1),
    async markers() {
      const found: string[] = []
      for await (const entry of inner.list({ prefix: '.holdfast/deleted', delimiter: '', startAfter: '' }, never))
        if (entry.type === 'object') found.push(entry.key)
      return found
    },
  }
}

test('markers go when the provider was told of them longer ago than they live, of long keys too, and not before (I13)', async () => {
  const { time, version, mark, pass, markers, isDue } = scene()
  const long = 'long/'.repeat(180)
  await mark('k', version())
  await mark(long, version())
  time.ms += dayMs
  await mark('later', version())
  time.ms += tombstoneMs - dayMs
  await pass()
  expect(await markers()).toEqual([markerKey(long), markerKey('k'), markerKey('later')])
  expect(isDue()).toBe(false)
  time.ms += dayMs - 1
  expect(isDue()).toBe(false)
  time.ms += 1
  expect(isDue()).toBe(true)
  await pass()
  expect(await markers()).toEqual([markerKey('later')])
})

test('a pass goes on where it was, and ends: no marker is looked at twice', async () => {
  const faults: Faults = {}
  const { time, version, mark, step, markers, isDue } = scene(inner => faulty(inner, faults))
  for (let n = 0; n < 2_100; n++) await mark(`k${String(n).padStart(5, '0')}`, version())
  time.ms += tombstoneMs + 1
  faults.calls = []
  expect(await step()).toBe(true)
  expect(await markers()).toHaveLength(1_100)
  expect(isDue()).toBe(true)
  expect(await step()).toBe(true)
  expect(await markers()).toHaveLength(100)
  expect(await step()).toBe(true)
  expect(await step()).toBe(false)
  expect(isDue()).toBe(false)
  expect(await markers()).toHaveLength(0)
  expect(faults.calls.filter(({ operation }) => operation === 'list')).toHaveLength(4)
  for (const one of ['get', 'head'])
    expect(faults.calls.filter(({ operation }) => operation === one)).toHaveLength(2100)
})

test('nothing goes by a clock that disagrees with the provider: ours ahead, or its own that it does not tell', async () => {
  const { time, skew, version, mark, pass, step, markers } = scene()
  await mark('k', version())
  time.ms += tombstoneMs + dayMs
  skew.offsetMs = -2 * dayMs
  await pass()
  skew.offsetMs = undefined
  expect(await step()).toBe(false)
  expect(await markers()).toHaveLength(1)
  // It says that it is later than we think: ours counts.
  time.ms -= 2 * dayMs
  skew.offsetMs = 10 * dayMs
  await pass()
  expect(await markers()).toHaveLength(1)
})

test('a marker stays while this directory has work for its key, and while something that it deletes is there: that goes first (I13)', async () => {
  for (const lacks of [[], ['deleteIf']] as const) {
    const { time, inner, open, version, mark, pass, markers } = scene(provider => weak(provider, new Set(lacks)))
    const old = version()
    await putPast(inner, 'late', 'zombie', old)
    await putPast(inner, 'newer', 'zombie', old)
    time.ms += 1
    for (const key of ['open', 'late', 'newer', 'gone']) await mark(key, version())
    time.ms += 1
    await putPast(inner, 'newer', 'put again', version())
    open.add('open')
    time.ms += tombstoneMs + 1
    await pass()
    expect(await markers()).toEqual([markerKey('late'), markerKey('open')])
    expect(await keysOf(inner)).toEqual(['newer'])
    time.ms += dayMs
    open.clear()
    await pass()
    expect(await markers()).toEqual([])
    expect((await bodyAt(inner, 'newer'))?.toString()).toBe('put again')
  }
})

test('a marker that is written anew at the same moment stays (I13)', async () => {
  for (const lacks of [[], ['deleteIf'], ['uniqueTokens']] as const) {
    const faults: Faults = {}
    const { time, version, mark, pass, markers } = scene(provider => faulty(weak(provider, new Set(lacks)), faults))
    await mark('k', version())
    time.ms += tombstoneMs + 1
    const again = async () => void (await mark('k', version()))
    faults.rules = [{ on: 'head', key: 'k', times: 1, fault: { kind: 'after', run: again } }]
    await pass()
    expect(await markers(), lacks.join()).toEqual([markerKey('k')])
  }
})

test('a marker that lost its metadata says by its body what it deletes: what was put since is not deleted by the time of the copy', async () => {
  const { time, inner, version, mark, pass, markers } = scene()
  const deleted = version()
  await mark('k', deleted)
  time.ms += 1_000
  await putPast(inner, 'k', 'put again', version())
  time.ms += 1_000
  await putPast(inner, markerKey('k'), JSON.stringify({ format: 1, key: 'k', version: deleted }))
  time.ms += tombstoneMs + 1
  await pass()
  expect(await keysOf(inner)).toEqual(['k'])
  expect(await markers()).toEqual([])
})
