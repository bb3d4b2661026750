import { HoldfastError, shown } from '../core/errors.ts'
import { withLimits } from '../core/guard.ts'
import { markerAt } from '../core/marker.ts'
import type { Provider } from '../core/provider.ts'
import type { Version } from '../core/version.ts'
import type { ReadDeps } from './types.ts'

/** The delete markers of one key: what tells, at a provider that answered 404, a key that was deleted from one that was lost. */
export interface Markers {
  /**
   * Whether one of these providers has a marker of this version or newer. UNAVAILABLE where a marker cannot be read: then nobody knows,
   * and what another provider has is neither served nor repaired. Each is asked once.
   */
  tellDeleted(version: Version, at: readonly Provider[]): Promise<boolean>
}

export function markersOf(deps: ReadDeps, key: string, patienceMs: number, signal: AbortSignal): Markers {
  const { clock } = deps
  const asked = new Map<Provider, Promise<Version | undefined>>()

  // Not asked of the breaker, which lets one call through at a time when in doubt: this one belongs to the answer that was just given.
  async function read(provider: Provider): Promise<Version | undefined> {
    const about = { what: 'the delete marker', provider: provider.name, key }
    const limits = { clock, idleMs: patienceMs, deadlineMs: patienceMs, signal, about }
    try {
      const marker = await withLimits(limits, inner => markerAt(provider, key, inner))
      return marker?.version
    } catch (error) {
      if (signal.aborted) throw error
      const because = error instanceof Error ? error.message : shown(error)
      throw new HoldfastError(
        'UNAVAILABLE',
        `${shown(key)} is missing at ${provider.name}, and whether it was deleted there cannot be read: ${because}`,
        { key, provider: provider.name, cause: error },
      )
    }
  }

  function at(provider: Provider): Promise<Version | undefined> {
    const marker = asked.get(provider) ?? read(provider)
    asked.set(provider, marker)
    return marker
  }

  return {
    async tellDeleted(version, providers) {
      const found = await Promise.all(providers.map(at))
      return found.some(marker => marker !== undefined && marker >= version)
    },
  }
}
