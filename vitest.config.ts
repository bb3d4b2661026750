import { defineConfig } from 'vitest/config'
import { Summary } from './test/house/summary.ts'

/**
 * Two files at a time: the machine is meant to have two cores. What measures time or memory, or takes both cores for long, is named
 * `….alone.test.ts`, or listed here, and runs by itself, when the others are done.
 */
const alone = ['test/**/*.alone.test.ts', 'test/clouds/{large,latency}.test.ts', 'test/kill/*.test.ts']
const limits = { testTimeout: 30_000, hookTimeout: 60_000, pool: 'forks' } as const

export default defineConfig({
  test: {
    reporters: ['default', new Summary()],
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...limits,
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: alone,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...limits,
          name: 'alone',
          include: alone,
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
