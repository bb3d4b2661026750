import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { HoldfastOptions } from '../index.ts'
import { isHoldfastError, Usage } from './failure.ts'
import { plain } from './format.ts'
import type { Io } from './io.ts'
import { providerOf } from './spec.ts'

/** Where the options of the store come from: a file, or flags. */
export interface Sources {
  readonly config?: string
  readonly directory?: string
  readonly primary?: string
  readonly secondary?: string
  readonly mirror?: readonly string[]
}

export interface Config {
  readonly options: HoldfastOptions
  /** The file that they come from, or `the flags`: for messages. */
  readonly from: string
}

/** Looked for in this order in a folder, and then in the one above. */
const names = ['ts', 'mts', 'js', 'mjs', 'json'].map(ending => `holdfast.config.${ending}`)

/** The options as they are given, unchecked: opening the store checks them. Usage where there are none, or the file cannot be used. */
export async function loadConfig(sources: Sources, io: Io): Promise<Config> {
  const { directory, primary, secondary, mirror = [] } = sources
  const place = directory === undefined ? {} : { directory: resolve(io.cwd, directory) }
  if (primary !== undefined || secondary !== undefined || mirror.length > 0) {
    if (sources.config !== undefined) {
      throw new Usage('say either --config or the providers (--primary, --secondary, --mirror), not both')
    }
    for (const name of ['directory', 'primary', 'secondary'] as const) {
      if (sources[name] === undefined)
        throw new Usage(`--${name} is missing: without a config file, the flags say it all`)
    }
    const options = {
      ...place,
      primary: providerOf(primary ?? '', '--primary', io.env),
      secondary: providerOf(secondary ?? '', '--secondary', io.env),
      mirrors: mirror.map(spec => providerOf(spec, '--mirror', io.env)),
    }
    return { options: options as unknown as HoldfastOptions, from: 'the flags' }
  }
  const file = findFile(sources.config, io)
  const given = file.endsWith('.json') ? await readJson(file) : await importConfig(file)
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new Usage(
      `${plain(file)}: it must export the options by default: export default defineConfig({ directory, primary, secondary })`,
    )
  }
  return { options: { ...withProviders(given, file, io), ...place } as unknown as HoldfastOptions, from: file }
}

function findFile(given: string | undefined, { cwd }: Io): string {
  if (given !== undefined) {
    const file = resolve(cwd, given)
    if (existsSync(file)) return file
    throw new Usage(`${plain(file)}: there is no such file`)
  }
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    for (const name of names) {
      const file = join(folder, name)
      if (existsSync(file)) return file
    }
    if (folder === dirname(folder)) break
  }
  throw new Usage(
    `there is no holdfast.config.ts (nor .mts, .js, .mjs, .json) in ${plain(cwd)} or above it: write one, name one with --config, or say --directory, --primary and --secondary`,
  )
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    throw new Usage(`${plain(file)}: ${withoutQuote((error as Error).message)}`)
  }
}

/** JSON.parse quotes what it stumbles over, and that may be a secret. */
function withoutQuote(message: string): string {
  return message.replace(/^(Unexpected token) [^]* is not valid JSON$/, '$1: this is not valid JSON')
}

/** Node takes the types out of TypeScript by itself; what it cannot take out is said. */
async function importConfig(file: string): Promise<unknown> {
  try {
    const module = (await import(pathToFileURL(file).href)) as { readonly default?: unknown }
    const { default: given } = module
    return typeof given === 'function' ? await (given as () => unknown)() : given
  } catch (error) {
    throw new Usage(`${plain(file)}: ${whyNot(error, file)}`, { cause: error })
  }
}

function whyNot(error: unknown, file: string): string {
  if (!(error instanceof Error)) return `it throws ${String(error)}`
  const { code } = error as NodeJS.ErrnoException
  const [first = ''] = error.message.split('\n')
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') {
    return `${first.replace(/\.$/, '')}: Node takes types out of a config file and compiles nothing, so enums, namespaces and parameter properties are not possible (erasableSyntaxOnly in tsconfig.json finds them)`
  }
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION') {
    return 'this Node does not run TypeScript: use 22.18 or newer, or a .js file'
  }
  if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') return first
  if (error instanceof SyntaxError || code === 'ERR_INVALID_TYPESCRIPT_SYNTAX') {
    return `${placeOf(error, file)}${first}`
  }
  if (isHoldfastError(error)) return first
  return `it throws ${error.name === 'Error' ? '' : `${error.name}: `}${first}`
}

/** Node writes file and line above the stack of a syntax error. */
function placeOf({ stack = '' }: Error, file: string): string {
  const [, line] = /^(?:file:\/\/)?[^\n]*:(\d+)\n/.exec(stack) ?? []
  return line === undefined || !stack.includes(file) ? '' : `line ${line}: `
}

/** A file of JSON has no providers, but the same short words for them as the flags. */
function withProviders(given: object, file: string, io: Io): object {
  const { primary, secondary, mirrors } = given as Readonly<Record<string, unknown>>
  const one = (value: unknown, name: string) =>
    typeof value === 'string' ? providerOf(value, `${plain(file)}: ${name}`, io.env) : value
  return {
    ...given,
    ...(primary === undefined ? {} : { primary: one(primary, 'primary') }),
    ...(secondary === undefined ? {} : { secondary: one(secondary, 'secondary') }),
    ...(Array.isArray(mirrors) ? { mirrors: mirrors.map((each, at) => one(each, `mirrors[${at}]`)) } : {}),
  }
}
