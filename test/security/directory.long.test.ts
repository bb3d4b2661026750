import { expect, test } from 'vitest'
import { checkPlanted, everyName } from './planted.ts'

test('a directory with a symbolic link in the place of anything in it: refused, or used past it; nothing is written or deleted behind it (I43, X6)', async () => {
  const names = await everyName()
  expect(names).toEqual(
    expect.arrayContaining(['bodies', 'cache', 'drafts', 'holdfast.json', 'journal.sqlite', 'reserve']),
  )
  for (const name of names) await checkPlanted(name)
})
