import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkDirectory } from '../support/directory.ts'
import { scratch } from './place.ts'
import { type Failed, storeProcess } from './process.ts'
import { type DiskFault, shim } from './shim.ts'

// Every call of a real process to a real disk fails once, whichever file it is about: a body, a name, the journal, its log, a lock, a mark.

const codes = new Set(['CORRUPT', 'NO_SPACE', 'INVALID', 'UNAVAILABLE', 'CLOSED'])
const large = 40_000

/** What is known of a key: sizes that a read may find. */
type Possible = Map<string, Set<number | 'nothing'>>

for (const [on, code, step] of [
  ['syncs', 'EIO', 1],
  ['writes', 'EIO', 7],
  ['writes', 'ENOSPC', 7],
  ['truncates', 'EIO', 1],
] as const)
  test(`of a store's ${on}, each fails once with ${code}${step > 1 ? ' (every seventh)' : ''}: what was acknowledged is there at the next open, what was not is whole or absent (D2, D3, D4, D6, J3, I2, I3, I6)`, async context => {
    const root = await scratch()
    const disk = shim(context, root)
    const app = await storeProcess('', { store: { replication: { run: 'external' } } }, disk.env)
    let failures = 0
    let n = 0
    for (let hit = 1; hit > 0; n += step) {
      const directory = join(root, `store${n}`)
      const possible: Possible = new Map()
      const attempt = async (key: string, size: number | 'nothing') => {
        const known = possible.get(key) ?? new Set<number | 'nothing'>(['nothing'])
        try {
          if (size === 'nothing') await app.order({ do: 'delete', key })
          else await app.order({ do: 'put', key, seed: key, size })
          possible.set(key, new Set([size]))
        } catch (error) {
          failures++
          const { code: said = '', message, outcome } = error as Failed
          expect(codes, `${on} ${n}: ${message}`).toContain(said)
          possible.set(key, outcome === 'rejected' ? known : new Set([...known, size]))
        }
      }
      const fault: DiskFault = { on: [on], path: `/store${n}`, code, skip: n, count: 1 }
      disk.set(fault)
      try {
        await app.order({ do: 'open', directory })
        await attempt('row', 100)
        await attempt('file', large)
        await Promise.all([attempt('row', 200), attempt('file', large + 1), attempt('more', 300)])
        await attempt('file', 'nothing')
        await attempt('last', large)
        await app.order({ do: 'close' })
      } catch (error) {
        failures++
        expect(codes, `${on} ${n}: ${(error as Failed).message}`).toContain((error as Failed)['code'])
        await app.order({ do: 'close' }).catch(() => {})
      }
      hit = disk.clear().hit
      await app.order({ do: 'open', directory })
      for (const [key, sizes] of possible)
        expect([...sizes], `${on} ${n}: ${key}`).toContain(await app.order({ do: 'get', key, seed: key }))
      await app.order({ do: 'put', key: 'after', seed: 'after', size: 10 })
      await app.order({ do: 'close' })
      await checkDirectory(directory, { orphans: 'allowed' })
      expect(app.said).toEqual([])
    }
    console.log(`${n - step} ${on} until none was met, ${failures} calls refused`)
    expect(n).toBeGreaterThan(step)
  })
