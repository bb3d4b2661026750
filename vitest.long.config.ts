import { defineConfig } from 'vitest/config'
import { Summary } from './test/house/summary.ts'

/**
 * The tests that take minutes, `….long.test.ts`: `npm run test:long`, and `.ci/run`. Two files at a time; what measures time or memory is named
 * `….alone.long.test.ts`, and runs by itself when the others are done.
 */
const alone = ['test/**/*.alone.long.test.ts']
/** In `.ci/run` what fails gets a second try, and is named: what a busy machine does to a test that waits for real time is no reason to refuse a change. */
const retry = Number(process.env['HOLDFAST_RETRY'] ?? 0)
const limits = { testTimeout: 600_000, hookTimeout: 120_000, pool: 'forks', retry } as const

export default defineConfig({
  test: {
    reporters: ['default', new Summary()],
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...limits,
          name: 'long',
          include: ['test/**/*.long.test.ts'],
          exclude: alone,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...limits,
          name: 'long, alone',
          include: alone,
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
