import { test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { prefixed } from '../../src/providers/prefixed.ts'
import { testProvider } from '../../src/testing/conformance.ts'

testProvider({ test, name: 'memory', pageProbe: 1100, create: async () => ({ provider: memory() }) })
testProvider({
  test,
  name: 'memory under a prefix',
  create: async () => ({ provider: prefixed(memory(), 'some/where/é-') }),
})
