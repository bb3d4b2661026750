import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import type { WriteBody, WriteRow } from '../../src/journal/contract.ts'
import { type MemoryTables, memoryLooking } from '../../src/journal/memory.ts'
import type { BodyPart } from '../../src/journal/upload-contract.ts'

/**
 * Checks all of a journal in memory that nobody has open, as `checkDirectory` does with one on disk: counters against a count of the rows (I9), every
 * body against the row that names it (I5, I7), and that nothing is in `bodies/` that nobody names.
 */
export async function checkTables(tables: MemoryTables, path: string): Promise<void> {
  expect(tables.members.size, 'processes that have it open').toBe(0)
  expect(tables.holder, 'whoever has the lease').toBeUndefined()
  checkRows(tables)
  for (const { row } of tables.writes.values())
    if (row.kind === 'put' && row.state !== 'refused') checkBytes(row.key, row, await bytesOf(path, row.body))
  const parts = [...tables.uploads.values(), ...tables.writes.values()].flatMap(owner => [...owner.parts.values()])
  for (const part of parts) checkBytes(part.file, part, await bytesOf(path, { in: 'file', file: part.file }))
  const named = new Set([...parts.map(({ file }) => file), ...tables.trash.keys()])
  for (const body of [...tables.writes.values(), ...tables.cached.values()].map(each => bodyOf(each)))
    if (body.in === 'file') named.add(body.file)
  const orphans = (await readdir(join(path, 'bodies'))).filter(file => !named.has(file))
  expect(orphans, 'files in bodies/ that nothing refers to').toEqual([])
}

/** What is true of the rows at any time. */
export function checkRows(tables: MemoryTables): void {
  const rows = [...tables.writes.values()].map(({ row }) => row)
  const going = rows.filter(({ origin, state }) => origin === 'app' && state === 'open')
  expect(tables.accepted, 'accepted = done + superseded + open').toBe(tables.done + tables.superseded + going.length)
  expect(new Set(going.map(({ key }) => key)).size, 'one open write a key').toBe(going.length)
  for (const { version } of rows) expect(version <= tables.highest).toBe(true)
  for (const row of rows.filter(({ state }) => state === 'open')) checkGivenUp(tables, row)
  const indexed = [...tables.byKey.values()].flatMap(entries => [...entries])
  expect(new Set(indexed), 'writes found by key').toEqual(new Set(tables.writes.values()))
  const staged = memoryLooking(tables)
    .counts()
    .groups.reduce((sum, { bytes }) => sum + bytes, 0)
  const parts = [...tables.uploads.values()].flatMap(upload => [...upload.parts.values()])
  expect(staged, 'bytes').toBe([...rows, ...parts].reduce((sum, { size }) => sum + size, 0))
}

/** What was given up everywhere is no open write, and nothing is on its way to a provider that was retired. */
function checkGivenUp(tables: MemoryTables, { key, replicas }: WriteRow): void {
  const isGivenUp = replicas.length > 0 && replicas.every(({ state }) => state === 'abandoned')
  expect(isGivenUp, `${key} is open, and given up everywhere`).toBe(false)
  for (const { provider, state } of replicas) {
    const isOwed = ['waiting', 'sending', 'stored', 'blocked'].includes(state)
    expect(isOwed && tables.providers.get(provider)?.isRetired, `${key} is on its way to a retired provider`).not.toBe(
      true,
    )
  }
}

function bodyOf(each: { readonly row: WriteRow } | { readonly body: { readonly body: WriteBody } }): WriteBody {
  return 'row' in each ? each.row.body : each.body.body
}

async function bytesOf(path: string, body: WriteBody): Promise<Uint8Array> {
  if (body.in === 'row') return body.bytes
  const files = body.in === 'none' ? [] : body.in === 'file' ? [body.file] : body.parts.map(({ file }) => file)
  return Buffer.concat(await Promise.all(files.map(file => readFile(join(path, 'bodies', file)))))
}

function checkBytes(what: string, { size, crc32c, md5 }: Omit<BodyPart, 'file'>, bytes: Uint8Array): void {
  expect({ size: bytes.byteLength, ...digestsOf(bytes) }, `body of ${what}`).toEqual({ size, crc32c, md5 })
}
