const sector = 512

/** What a power cut leaves of a file: what was synced, mixed sector by sector with what was not, as long as one of them, or anything between. */
export function torn(durable: Uint8Array, cached: Uint8Array, chance: () => number): Uint8Array {
  if (durable === cached) return durable
  const longer = Math.max(durable.length, cached.length)
  const size = [durable.length, cached.length, Math.floor(chance() * (longer + 1))][Math.floor(chance() * 3)] ?? 0
  const found = new Uint8Array(Math.max(size, Math.min(durable.length, cached.length)))
  found.set(durable.subarray(0, found.length))
  const share = chance()
  for (let at = 0; at < found.length; at += sector) {
    if (chance() < share) found.set(cached.subarray(at, Math.min(at + sector, cached.length, found.length)), at)
  }
  return found
}
