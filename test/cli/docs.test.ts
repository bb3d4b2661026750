import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { programFor } from '../../src/cli/program.ts'
import { root } from '../house/sources.ts'

// What the pages and the messages tell people to type is something that the program knows. docs/runbook.md is run as well, in runbook.long.test.ts.

const io = {
  stdout: new Writable(),
  stderr: new Writable(),
  stdin: Readable.from([]),
  cwd: root,
  env: {},
  signal: new AbortController().signal,
}
const program = programFor(io)

function typed(): { readonly at: string; readonly command: string }[] {
  const pages = ['README.md', ...filesIn('docs', '.md'), ...filesIn('src', '.ts')]
  return pages.flatMap(at => {
    const text = readFileSync(join(root, at), 'utf8')
    const found = text.matchAll(/(?:^(?:\$ |npx )+|\\?`)holdfast ([a-z][^`\n#\\]*)/gm)
    return Array.from(found, ([, command = '']) => ({ at, command: command.trim() }))
  })
}

function filesIn(folder: string, ending: string): string[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  return names.filter(name => name.endsWith(ending)).map(name => `${folder}/${name}`)
}

test('commands and flags that are written down are there', () => {
  const all = typed()
  expect(all.length).toBeGreaterThan(40)
  const unknown = all.filter(({ command }) => {
    const words = command.replaceAll(/"[^"]*"/g, 'TEXT').split(/\s+/)
    const outer = program.commands.find(each => each.name() === words[0])
    if (outer === undefined) return true
    const inner = outer.commands.find(each => each.name() === words[1])
    const flags = words.filter(word => /^--[a-z]/.test(word)).map(word => word.replace(/[,.;:)]+$/, ''))
    const known = [
      ...program.options,
      ...outer.options,
      ...(inner?.options ?? []),
      ...outer.commands.flatMap(each => each.options),
    ]
    return flags.some(flag => !known.some(({ long }) => long === flag))
  })
  expect(unknown).toEqual([])
})

test('docs/cli.md names every command', () => {
  const page = readFileSync(join(root, 'docs', 'cli.md'), 'utf8')
  const missing = program.commands.map(command => command.name()).filter(name => !page.includes(`\`${name}`))
  expect(missing).toEqual([])
})
