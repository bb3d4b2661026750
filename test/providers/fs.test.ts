import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { fs } from '../../src/providers/fs.ts'
import { prefixed } from '../../src/providers/prefixed.ts'
import { type Created, testProvider } from '../../src/testing/conformance.ts'
import { faulty } from '../../src/testing/faulty.ts'

async function onDisk(): Promise<Created & { readonly root: string }> {
  const root = await mkdtemp(join(tmpdir(), 'holdfast-fs-'))
  return { root, provider: fs({ root }), close: () => rm(root, { recursive: true }) }
}

testProvider({
  test,
  name: 'fs',
  create: onDisk,
  sizes: [3_000, 262_143, 262_144, 262_145, 1_000_000],
  pageProbe: 300,
  broken: { gone: async () => ({ provider: fs({ root: join(tmpdir(), 'holdfast-fs-nowhere') }) }) },
})

testProvider({
  test,
  name: 'fs under a prefix',
  async create() {
    const { provider, close } = await onDisk()
    return { provider: prefixed(provider, 'Some/where-'), ...(close && { close }) }
  },
})

testProvider({
  test,
  name: 'fs behind faulty',
  async create() {
    const { provider, close } = await onDisk()
    return { provider: faulty(provider, {}), ...(close && { close }) }
  },
})
