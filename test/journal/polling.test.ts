import Database from 'better-sqlite3'
import { expect, test, vi } from 'vitest'
import { eventually } from '../support/store.ts'
import { scene, write } from './scene.ts'

test('changes of another process are heard of after a moment in which the journal could not be read, too', async () => {
  await using at = await scene()
  const [one, two] = [await at.journal(), await at.journal()]
  const statement = Object.getPrototypeOf(new Database(':memory:').prepare('SELECT 1')) as Database.Statement
  const { get } = statement
  let failures = 0
  const spy = vi.spyOn(statement, 'get').mockImplementation(function (this: Database.Statement, ...given) {
    if (this.source === 'PRAGMA data_version' && failures++ < 3)
      throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_READ' })
    return get.apply(this, given)
  })
  try {
    let heard = 0
    const leave = one.onChange(() => heard++)
    await eventually(() => failures > 3)
    await two.accept(write('k'))
    await eventually(() => heard > 0)
    leave()
    const asked = failures
    await new Promise(resolve => setTimeout(resolve, 300))
    expect(failures).toBe(asked)
  } finally {
    spy.mockRestore()
  }
})
