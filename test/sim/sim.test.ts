import { expect, test } from 'vitest'
import { planOf } from './plan.ts'
import { regressions } from './regressions.ts'
import { run } from './run.ts'
import { shrink } from './shrink.ts'

/** As `npm run sim -- --from`. */
const from = Number(process.env['HOLDFAST_SEED'] ?? 1)
const seeds = 40

test(`${seeds} simulated worlds in which everything fails keep every promise (I1–I6, I9, I10, I12–I16, I18–I27, I33)`, {
  timeout: 60_000,
}, async () => {
  console.log(`seeds from ${from} on: npm run sim -- --from ${from} --seeds ${seeds}`)
  for (let seed = from; seed < from + seeds; seed++) {
    const { faults } = await run(planOf(seed))
    expect(faults, `npm run sim -- --seed ${seed}`).toEqual([])
  }
})

test('a world does the same each time', async () => {
  for (const seed of [3, 72, 417]) {
    const [first, second] = [await run(planOf(seed), true), await run(planOf(seed), true)]
    expect(second.trace).toEqual(first.trace)
    expect(second.hash).toBe(first.hash)
  }
})

test.for(regressions)('$name', async ({ plan }) => {
  const { faults } = await run(plan)
  expect(faults).toEqual([])
})

test('a seed with a fault is made as small as it can be', { timeout: 60_000 }, async () => {
  // A file whose names are never synced: what was acknowledged goes with the power.
  const { plan, faults } = await shrink({ ...planOf(11), breaks: 'names are not synced' })
  expect(faults.join()).toMatch(/would not survive a power cut \(I1, I5\)/)
  expect(plan.steps.filter(({ what }) => what === 'put').length).toBe(1)
  expect(plan.steps.length).toBeLessThan(4)
})
