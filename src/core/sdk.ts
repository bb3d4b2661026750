import { createRequire } from 'node:module'
import { HoldfastError } from './errors.ts'

const load = createRequire(import.meta.url)

/**
 * Loads a cloud's SDK, an optional peer dependency, the first time that it is needed: whoever uses one cloud installs one SDK.
 * UNSUPPORTED, with the command that installs it, where it is missing; an SDK that is there and broken throws what it throws.
 */
export function loadSdk<Sdk>(name: string, subpath: string): Sdk {
  try {
    return load(name) as Sdk
  } catch (error) {
    if (!isMissing(error, name)) throw error
    throw new HoldfastError('UNSUPPORTED', `${subpath} needs ${name}, which is not installed: npm install ${name}`, {
      field: 'sdk',
      rule: 'missing',
      outcome: 'rejected',
      cause: error,
    })
  }
}

/** Whether `loadSdk` would find it. Loads nothing. */
export function hasSdk(name: string): boolean {
  try {
    load.resolve(name)
    return true
  } catch {
    return false
  }
}

/** Not to be mistaken for a missing dependency of the SDK: its message names the SDK too, among those who asked for it. */
function isMissing(error: unknown, name: string): boolean {
  const { code, message } = error as NodeJS.ErrnoException
  const [first = ''] = message.split('\n')
  return (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') && first.includes(`'${name}'`)
}
