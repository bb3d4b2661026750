import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { systemClock } from '../../src/core/system.ts'
import { healing, type Missing } from '../../src/replicate/healing.ts'

const missing = (key: string): Missing => ({ key, version: '', missingAt: [2], foundAt: 1 })

test('a repair that is queued at the very moment at which the work on those before it ends is made, too (I10)', async () => {
  const { signal } = new AbortController()
  const left: number[] = []
  // So many steps of the program after the pause that follows the first: one of them is that moment.
  for (let steps = 0; steps < 12; steps++) {
    const mended: string[] = []
    const { queue } = healing({
      clock: {
        ...systemClock,
        async sleep() {
          if (mended.length === 1) void after(steps, () => queue(missing('second')))
        },
      },
      mend: async ({ key }) => {
        mended.push(key)
        return { is: 'settled' }
      },
      repaired: () => {},
      signal,
    })
    queue(missing('first'))
    await turn()
    if (mended.join() !== 'first,second') left.push(steps)
  }
  expect(left).toEqual([])
})

async function after(steps: number, act: () => void): Promise<void> {
  for (let step = 0; step < steps; step++) await Promise.resolve()
  act()
}
