import { createHash } from 'node:crypto'
import { lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/provider.ts'
import { type Holdfast, openHoldfast } from '../../src/index.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty, outage } from '../../src/testing/index.ts'

const large = Buffer.alloc(100_000, 7)

/** Two providers of which neither answers: everything that is accepted stays in the directory. */
export function away(): [Provider, Provider] {
  const faults = { rules: [{ fault: outage }] }
  return [faulty(memory({ name: 'a' }), faults), faulty(memory({ name: 'b' }), faults)]
}

export async function work(store: Holdfast): Promise<void> {
  await store.put('small', 'body')
  await store.put('large', large)
  const { id } = await store.uploads.create('parts')
  await store.uploads.putPart(id, 1, large)
  await store.delete('gone')
}

/** Every path below, itself included, and what is there; links are not followed. */
export async function below<T>(path: string, look: (at: string) => Promise<T>): Promise<Record<string, T>> {
  const found: Record<string, T> = {}
  const visit = async (at: string): Promise<void> => {
    found[at.slice(path.length) || '.'] = await look(at)
    if ((await lstat(at)).isDirectory()) for (const name of await readdir(at)) await visit(join(at, name))
  }
  await visit(path)
  return found
}

export async function modeOf(at: string): Promise<string> {
  const { mode } = await lstat(at)
  return `${(await lstat(at)).isDirectory() ? 'd' : '-'}${(mode & 0o7777).toString(8)}`
}

async function contentOf(at: string): Promise<string> {
  const isDirectory = (await lstat(at)).isDirectory()
  return isDirectory
    ? 'directory'
    : createHash('sha256')
        .update(await readFile(at))
        .digest('hex')
}

/** A directory that was used, opened again with a link in the place of `name`: refused, or as if it was never there. Nothing behind the link changes. */
export async function checkPlanted(name: string): Promise<unknown> {
  const place = await used()
  const outside = join(place, 'outside')
  await mkdir(outside)
  await rename(join(place, 'store', name), join(outside, 'target'))
  await symlink(join(outside, 'target'), join(place, 'store', name))
  const before = await below(outside, contentOf)
  const opened = await openHoldfast(optionsAt(join(place, 'store'))).catch((error: unknown) => error)
  if (opened instanceof Error) expect(opened, name).toBeInstanceOf(HoldfastError)
  else {
    await work(opened as Holdfast)
    await (opened as Holdfast).close()
  }
  expect(await below(outside, contentOf), name).toEqual(before)
  return opened
}

function optionsAt(directory: string) {
  const [primary, secondary] = away()
  return { directory, primary, secondary }
}

/** A place of its own with a directory `store` that was worked in and closed. */
async function used(): Promise<string> {
  const place = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-planted-'))
  onTestFinished(() => rm(place, { recursive: true, force: true }))
  const store = await openHoldfast(optionsAt(join(place, 'store')))
  await work(store)
  await store.close()
  return place
}

/** Everything that is directly in a directory that was used. */
export async function everyName(): Promise<string[]> {
  return await readdir(join(await used(), 'store'))
}
