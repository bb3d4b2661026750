/** Ids of providers are 1 to this: so many fit into what JavaScript's bit operations can do. */
export const mostProviders = 30

/** Sets of providers as bits of a number: id 1 is the lowest bit. */
export function bit(provider: number): number {
  return 1 << (provider - 1)
}

export function maskOf(providers: readonly number[]): number {
  return providers.reduce((mask, provider) => mask | bit(provider), 0)
}

export function bitsOf(mask: number): number[] {
  const ids: number[] = []
  for (let id = 1; id <= mostProviders; id++) if ((mask & bit(id)) !== 0) ids.push(id)
  return ids
}
