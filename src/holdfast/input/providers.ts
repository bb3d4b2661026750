import { invalid, shown } from '../../core/errors.ts'
import type { Provider } from '../../core/provider.ts'

const calls = [
  'refuseKey',
  'learn',
  'put',
  'head',
  'get',
  'delete',
  'list',
  'sign',
  'abandon',
  'classify',
] as const satisfies readonly (keyof Provider)[]

/** Something that can be used as a provider. TypeError, saying what is not right about it; nothing of it is called. */
export function checkProvider(field: string, value: unknown): Provider {
  const wrong = wrongness(value)
  if (wrong === undefined) return value as Provider
  throw new TypeError(`${field} must be a provider, such as s3({ bucket }): ${wrong}`)
}

function wrongness(value: unknown): string | undefined {
  if (typeof value === 'function') return 'got a function (call it)'
  if (typeof value !== 'object' || value === null) return `got ${shown(value)}`
  try {
    const provider = value as Record<string, unknown>
    for (const name of ['name', 'kind', 'location']) {
      if (typeof provider[name] !== 'string' || provider[name] === '') return `got ${shown(value)} without ${name}`
    }
    const missing = calls.find(name => typeof provider[name] !== 'function')
    if (missing !== undefined) return `${shown(provider['name'])} has no ${missing} function`
    const refuseFeatures = provider['refuseFeatures']
    if (refuseFeatures !== undefined && typeof refuseFeatures !== 'function')
      return `${shown(provider['name'])} has a refuseFeatures that is no function`
    return saysWhatItTakes(value as Provider) ? undefined : `${shown(provider['name'])} has no limits or capabilities`
  } catch {
    return `got ${shown(value)} that cannot be read`
  }
}

function saysWhatItTakes({ limits, capabilities }: Provider): boolean {
  return (
    typeof limits.objectBytes === 'number' &&
    typeof limits.metadata.bytes === 'number' &&
    typeof limits.metadata.holds === 'function' &&
    typeof capabilities === 'object' &&
    capabilities !== null
  )
}

/** The most bytes that an object may have to fit everywhere, and the provider that says so. */
export function objectLimit(providers: readonly Provider[]): { bytes: number; provider: string } {
  let least = { bytes: Number.POSITIVE_INFINITY, provider: '' }
  for (const { name, limits } of providers) {
    if (limits.objectBytes < least.bytes) least = { bytes: limits.objectBytes, provider: name }
  }
  return least
}

/**
 * Copies must be in different places, and be told apart. INVALID, field the option of the later one: rule `duplicate` (the same
 * place), `overlap` (one place lies in the other), `name` (a name that another has, or `local`, which means the disk).
 */
export function demandApart(placed: readonly { readonly field: string; readonly provider: Provider }[]): void {
  for (const [index, { field, provider }] of placed.entries()) {
    if (provider.name === 'local') {
      throw invalid(
        field,
        'name',
        `${field} is called "local", which in answers means the local disk; name it otherwise`,
      )
    }
    for (const before of placed.slice(0, index)) {
      const [a, b] = [before.provider.location, provider.location]
      const where = `${field} (${shown(b)}) and ${before.field} (${shown(a)})`
      if (a === b) throw invalid(field, 'duplicate', `${where} are the same place: a copy there is no second copy`)
      if (liesIn(a, b) || liesIn(b, a)) {
        throw invalid(field, 'overlap', `${where} overlap: each would list and repair what is the other's`)
      }
      if (provider.name === before.provider.name) {
        throw invalid(
          field,
          'name',
          `${field} and ${before.field} are both called ${shown(provider.name)}; name one otherwise`,
        )
      }
    }
  }
}

/**
 * A `fs` provider's root is none that the store's own directory lies in, nor the other way round: else each would list, sweep and keep
 * private what is the other's, and one disk would hold both copies. By the paths as they are written: links are not followed.
 * INVALID, field `directory`, rule `overlap`.
 */
export function demandOutside(
  directory: string,
  placed: readonly { readonly field: string; readonly provider: Provider }[],
): void {
  for (const { field, provider } of placed) {
    const root = provider.kind === 'fs' && provider.location.startsWith('fs:') ? provider.location.slice(3) : undefined
    if (root === undefined || !(directory === root || liesIn(directory, root) || liesIn(root, directory))) continue
    throw invalid(
      'directory',
      'overlap',
      `directory ${shown(directory)} and the root of ${field} (${shown(root)}) overlap: each would sweep what is the other's; put them side by side`,
    )
  }
}

/** A location under another, by text: `…/bucket/photos/` in `…/bucket`, but not `…/bucket-2`. */
function liesIn(inner: string, outer: string): boolean {
  return inner.startsWith(outer.endsWith('/') ? outer : `${outer}/`)
}
