import { compareKeys } from '../../core/key.ts'
import type { MemoryTables } from './tables.ts'

/** Forgets deletes older than this, and what is over the bound of `known` and of the cache: the oldest first. Answers cache files to unlink. */
export function trim(
  tables: MemoryTables,
  limits: { readonly deletedBefore: number; readonly knownRows: number; readonly cacheBytes: number },
): string[] {
  for (const [key, { at }] of tables.deleted) if (at < limits.deletedBefore) tables.deleted.delete(key)
  trimKnown(tables, limits.knownRows)
  return trimCache(tables, limits.cacheBytes)
}

function trimKnown({ known }: MemoryTables, limit: number): void {
  const rows = [...known].flatMap(([key, ofKey]) => [...ofKey].map(([provider, { at }]) => ({ key, provider, at })))
  if (rows.length <= limit) return
  rows.sort((a, b) => a.at - b.at || compareKeys(a.key, b.key) || a.provider - b.provider)
  for (const { key, provider } of rows.slice(0, rows.length - limit)) {
    const ofKey = known.get(key)
    ofKey?.delete(provider)
    if (ofKey?.size === 0) known.delete(key)
  }
}

function trimCache({ cached }: MemoryTables, limit: number): string[] {
  let bytes = 0
  for (const { body } of cached.values()) bytes += body.size
  const dropped: string[] = []
  for (const [key, { body }] of [...cached].sort(([, a], [, b]) => a.usedAt - b.usedAt)) {
    if (bytes <= limit) break
    bytes -= body.size
    cached.delete(key)
    if (body.body.in === 'file') dropped.push(body.body.file)
  }
  return dropped
}
