import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { Summary } from './test/house/summary.ts'

/**
 * Two files at a time: the machine is meant to have two cores. What measures time or memory is named `….alone.test.ts`, or listed here,
 * and runs by itself, when the others are done.
 */
const alone = ['test/**/*.alone.test.ts', 'test/clouds/{large,latency}.test.ts']

/** Takes minutes, and runs by `vitest.long.config.ts`. */
const minutes = ['test/**/*.long.test.ts']

/** Take longest, the longest first: begun last, they would be waited for. */
const long = ['test/kill/kill', 'test/demo', 'test/providers/azure', 'test/cli/commands', 'test/converge/property']

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = long.findIndex(name => moduleId.endsWith(`${name}.test.ts`))
      return at < 0 ? long.length : at
    }
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}

/** In `.ci/run` what fails gets a second try, and is named: what a busy machine does to a test that waits for real time is no reason to refuse a change. */
const retry = Number(process.env['HOLDFAST_RETRY'] ?? 0)
const limits = { testTimeout: 30_000, hookTimeout: 60_000, pool: 'forks', retry } as const

export default defineConfig({
  test: {
    reporters: ['default', new Summary()],
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...limits,
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: [...alone, ...minutes],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...limits,
          name: 'alone',
          include: alone,
          exclude: minutes,
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
