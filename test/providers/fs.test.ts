import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, test } from 'vitest'
import { fs } from '../../src/providers/fs.ts'
import { prefixed } from '../../src/providers/prefixed.ts'
import { testProvider } from '../../src/testing/conformance.ts'
import { faulty } from '../../src/testing/faulty.ts'

const root = mkdtempSync(join(tmpdir(), 'holdfast-fs-'))
afterAll(() => rmSync(root, { recursive: true }))

testProvider({
  test,
  name: 'fs',
  create: async () => ({ provider: fs({ root }) }),
  // Around the pieces that are read and written at a time.
  sizes: [262_143, 262_144, 262_145, 1_000_000],
  pageProbe: 300,
  broken: { gone: async () => ({ provider: fs({ root: join(root, 'nowhere') }) }) },
})

testProvider({
  test,
  name: 'fs under a prefix',
  create: async () => ({ provider: prefixed(fs({ root }), 'Some/where-') }),
})

testProvider({
  test,
  name: 'fs behind faulty',
  create: async () => ({ provider: faulty(fs({ root }), {}) }),
})
