import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/provider.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { openWith } from '../../src/holdfast/open.ts'
import { openJournal } from '../../src/journal/sqlite.ts'
import { memory } from '../../src/providers/memory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'

test.each(['UNAVAILABLE', 'CORRUPT'] as const)(
  'a conditional put of which the journal cannot be asked (%s) while the primary decides is not said to be rejected (I15, I47)',
  async code => {
    await using directory = await testDirectory()
    const inner = memory({ name: 'a' })
    const began = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const primary: Provider = {
      ...inner,
      async put(request, signal) {
        if (request.key !== 'k') return inner.put(request, signal)
        began.resolve()
        await goOn.promise
        return inner.put(request, signal)
      },
    }
    let isUnreadable = false
    const store = await openWith(
      { directory: directory.path, primary, secondary: memory({ name: 'b' }), holdMs: 0 },
      {
        disk: nodeDisk,
        clock: systemClock,
        random: systemRandom,
        openJournal: async options => {
          const opened = await openJournal(options)
          const write = (seq: number) => {
            if (isUnreadable) throw new HoldfastError(code, 'cannot be read', { field: 'journal', outcome: 'rejected' })
            return opened.journal.write(seq)
          }
          return { ...opened, journal: { ...opened.journal, write } }
        },
      },
    )
    const put = store.put('k', 'v', { if: 'absent' })
    const error = put.catch((thrown: unknown) => thrown)
    await began.promise
    isUnreadable = true
    expect(await error).toMatchObject({ code, outcome: 'unknown', key: 'k' })
    isUnreadable = false
    goOn.resolve()
    expect((await eventually(() => bodyAt(inner, 'k'))).toString()).toBe('v')
    await store.drain()
    await store.close()
  },
  30_000,
)
