import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root, sourcesIn } from '../house/sources.ts'

// What a machine that has nothing relies on when it runs `npm ci`, and users when they install the package.

interface Manifest {
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>
  readonly allowScripts: Readonly<Record<string, boolean>>
  readonly files: readonly string[]
}

interface Locked {
  readonly resolved?: string
  readonly integrity?: string
  readonly hasInstallScript?: boolean
  readonly dev?: boolean
  readonly optional?: boolean
}

const manifest = read('package.json') as Manifest
const { packages } = read('package-lock.json') as { readonly packages: Readonly<Record<string, Locked>> }
const installed = Object.entries(packages).filter(([path]) => path !== '')

function read(path: string): unknown {
  return JSON.parse(readFileSync(join(root, path), 'utf8'))
}

test('versions are exact, but those of the SDKs that users bring', () => {
  const { dependencies, devDependencies } = manifest
  const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(
    ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
  )
  expect(loose).toEqual([])
})

test('the lockfile names no registry, and says what every package has to be', () => {
  expect(installed.filter(([, { resolved }]) => resolved !== undefined)).toEqual([])
  expect(installed.filter(([, { integrity }]) => integrity === undefined).map(([path]) => path)).toEqual([])
})

test('every package that npm would run a script of at installation is known, and users need none of these scripts', () => {
  const withScript = installed.filter(
    ([path, { hasInstallScript }]) => hasInstallScript === true || existsSync(join(root, path, 'binding.gyp')),
  )
  // Those for other systems (`fsevents` of macOS) come with what they need, or are done without.
  const needed = withScript.filter(([, { optional }]) => optional !== true)
  const names = needed.map(([path]) => path.replace(/^.*node_modules\//, ''))
  expect(names.toSorted()).toEqual(Object.keys(manifest.allowScripts).toSorted())
  const ours = needed.filter(([, { dev }]) => dev !== true).map(([path]) => path.replace(/^.*node_modules\//, ''))
  expect(ours.filter(name => manifest.allowScripts[name] !== false)).toEqual([])
})

test('the library depends on what it imports, and on nothing else', () => {
  const imported = sourcesIn('src').flatMap(({ imports }) => imports.map(({ from }) => from))
  const names = imported.filter(from => !from.startsWith('.') && !from.startsWith('node:'))
  const wanted = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies)]
  expect([...new Set(names)].toSorted()).toEqual(wanted.toSorted())
})

test('no SDK is installed that its user did not ask for', () => {
  const optional = Object.entries(manifest.peerDependenciesMeta).filter(([, { optional: is }]) => is)
  expect(optional.map(([name]) => name).toSorted()).toEqual(Object.keys(manifest.peerDependencies).toSorted())
})

test('every entry point has its source, and comes with types first', () => {
  for (const entry of Object.values(manifest.exports)) {
    if (typeof entry === 'string') continue
    expect(Object.keys(entry)).toEqual(['types', 'default'])
    const source = entry['default']?.replace('./dist/', 'src/').replace(/\.js$/, '.ts')
    expect(existsSync(join(root, source ?? '')), source).toBe(true)
    expect(entry['types']).toBe(entry['default']?.replace(/\.js$/, '.d.ts'))
  }
})

test('what is packed beside the code is there', () => {
  const missing = manifest.files.filter(name => name !== 'dist' && !existsSync(join(root, name)))
  expect(missing).toEqual([])
})
