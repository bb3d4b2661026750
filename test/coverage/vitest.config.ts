import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { Summary } from '../house/summary.ts'

/**
 * The tests as Node runs them, without a bundler between: what V8 counts has the offsets of the source, in tests, threads and children alike. Which files: see
 * `main.ts`.
 */
export default defineConfig({
  root: join(import.meta.dirname, '..', '..'),
  test: {
    reporters: ['default', new Summary()],
    include: ['test/**/*.test.ts'],
    exclude: (process.env['HOLDFAST_COVERAGE_WITHOUT'] ?? '').split(';').filter(name => name !== ''),
    setupFiles: ['test/coverage/flush.ts'],
    experimental: { viteModuleRunner: false },
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
