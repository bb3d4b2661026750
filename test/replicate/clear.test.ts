import { expect, test } from 'vitest'
import { makeVersion } from '../../src/core/version.ts'
import { memory } from '../../src/providers/memory.ts'
import { clear } from '../../src/replicate/clear.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { bodyAt } from '../support/store.ts'
import { putAt } from './mending.ts'

test('a newer write that comes between the look and the delete of an older one stays (I12, I13)', async () => {
  const now = Date.now()
  const version = (n: number) => makeVersion(now - 1_000 + n, 0, '00000000000000aa')
  const inner = memory()
  const newer = version(2)
  const run = () => putAt(inner, 'k', 'newer', { version: newer })
  const faults: Faults = { rules: [{ on: 'delete', times: 1, fault: { kind: 'before', run } }] }
  const provider = faulty(inner, faults)
  await putAt(inner, 'k', 'older', { version: version(0) })
  const target = { id: 1, provider, capabilities: provider.capabilities, skew: { offsetMs: 0 } }
  const found = await clear(target, 'k', version(1), Date.now, AbortSignal.timeout(5_000))
  expect(found?.size).toBe(5)
  expect(String(await bodyAt(inner, 'k'))).toBe('newer')
})
