import { expect, test } from 'vitest'
import { azure } from '../../src/providers/azure.ts'
import { fs } from '../../src/providers/fs.ts'
import { gcs } from '../../src/providers/gcs.ts'
import { memory } from '../../src/providers/memory.ts'
import { s3 } from '../../src/providers/s3.ts'

// What all drivers say of their options alike. Each one's own rules are in its own tests.

const secret = 'canary-secret'
const drivers: readonly [string, (options: never) => unknown, object][] = [
  ['s3', s3, { bucket: 'photos' }],
  ['gcs', gcs, { bucket: 'photos' }],
  ['azure', azure, { container: 'photos', accountName: 'account', accountKey: 'AAAA' }],
  ['fs', fs, { root: '/srv/photos' }],
  ['memory', memory, {}],
]

function thrownBy(run: () => unknown): Error {
  try {
    run()
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('nothing was thrown')
}

test.each(drivers)('%s() refuses an option that it does not know, and says which may be meant', (name, make, good) => {
  expect(thrownBy(() => make({ ...good, nmae: 'x' } as never))).toMatchObject({
    code: 'INVALID',
    field: 'options',
    rule: 'unknown',
    outcome: 'rejected',
    message: `${name}() has no option "nmae"; did you mean name?`,
  })
  expect(thrownBy(() => make({ ...good, zzzz: 'x' } as never)).message).toMatch(/; there are: .*\bname\b/)
})

test.each(drivers)('%s() says of which type an option has to be, and never what came instead', (_name, make, good) => {
  for (const wrong of [{ name: 7 }, { name: null }, { name: [secret] }, { name: { secret } }]) {
    const error = thrownBy(() => make({ ...good, ...wrong } as never))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toContain('wants option name to be a string, got ')
    expect(error.message).not.toContain('canary')
  }
})

test.each(drivers)('%s() wants an object of options', (name, make) => {
  for (const wrong of [null, 'photos', 7]) {
    const error = thrownBy(() => make(wrong as never))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toBe(`${name}() wants an object of options`)
  }
})

test('a secret under the name of an option of another type is not shown (I42)', () => {
  const error = thrownBy(() => s3({ bucket: 'photos', credentials: secret } as never))
  expect(error.message).toBe('s3() wants option credentials to be an object or function, got a string')
})
