import { createRequire } from 'node:module'
import { HoldfastError } from './errors.ts'

const load = createRequire(import.meta.url)

/** Loads a cloud's SDK, an optional peer dependency. UNSUPPORTED, with the command that installs it, where it is missing. */
export function loadSdk<Sdk>(name: string, subpath: string): Sdk {
  try {
    return load(name) as Sdk
  } catch (error) {
    const missing =
      (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND' && (error as Error).message.includes(name)
    if (!missing) throw error
    throw new HoldfastError('UNSUPPORTED', `${subpath} needs ${name}, which is not installed: npm install ${name}`, {
      field: 'sdk',
      rule: 'missing',
      outcome: 'rejected',
      cause: error,
    })
  }
}
