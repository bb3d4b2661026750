import { describe, expect, test } from 'vitest'
import { testDirectory } from '../support/store.ts'
import { away, below, checkPlanted, modeOf, work } from './planted.ts'

// Another user of the same machine: what may be read, and where a name leads that somebody planted in the directory (I43, X6).

describe('a directory', () => {
  test.each([0o000, 0o077])(
    'of a process with umask %i: directories 0700, files 0600, open and closed (I43, X6)',
    async mask => {
      await using directory = await testDirectory()
      const before = process.umask(mask)
      try {
        const store = await directory.open(away())
        await work(store)
        const whileOpen = await below(directory.path, modeOf)
        await store.close()
        const after = await below(directory.path, modeOf)
        expect(Object.keys(whileOpen).length).toBeGreaterThan(8)
        for (const [name, mode] of [...Object.entries(whileOpen), ...Object.entries(after)])
          expect([name, mode]).toEqual([name, mode.startsWith('d') ? 'd700' : '-600'])
      } finally {
        process.umask(before)
      }
    },
  )

  test('whose journal is a symbolic link is refused: SQLite would follow it (I43, X6)', async () => {
    expect(await checkPlanted('journal.sqlite')).toMatchObject({ code: 'INVALID', field: 'directory', rule: 'symlink' })
  })
})
