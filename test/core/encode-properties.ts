import * as fc from 'fast-check'
import { expect } from 'vitest'
import { decodeKey, encodeKey, isEncoded, keyOfName, nameOfGroup, namePrefixes } from '../../src/core/encode.ts'
import { markerKey } from '../../src/core/key.ts'
import type { Provider } from '../../src/core/provider.ts'
import { refuseAzureKey } from '../../src/providers/azure/keys.ts'
import { refuseGcsKey } from '../../src/providers/gcs/keys.ts'
import { memory } from '../../src/providers/memory.ts'
import { prefixed } from '../../src/providers/prefixed.ts'
import { refuseS3Key } from '../../src/providers/s3/names.ts'
import { anyKey } from './keys.ts'

type RefuseKey = Provider['refuseKey']

const drivers: Readonly<Record<string, RefuseKey>> = {
  s3: name => refuseS3Key(name, false),
  gcs: refuseGcsKey,
  azure: refuseAzureKey,
}
const prefixedDrivers: Readonly<Record<string, RefuseKey>> = {
  'azure under a prefix': under('tenants/anna/', refuseAzureKey),
  'gcs under a prefix': under('tenants/anna/', refuseGcsKey),
  's3 under a prefix that is no folder': under('tenant', name => refuseS3Key(name, true)),
}

function under(prefix: string, refuseKey: RefuseKey): RefuseKey {
  return prefixed({ ...memory(), refuseKey }, prefix).refuseKey
}

function demandTaken(refusals: Readonly<Record<string, RefuseKey>>, name: string): void {
  for (const [what, refuse] of Object.entries(refusals)) {
    const refusal = refuse(name)
    if (refusal !== undefined && refusal.rule !== 'length') throw new Error(`${what}: ${refusal.message}`)
  }
}

/** Checks so many keys. */
export function checkEncoding(seed: number, numRuns: number): void {
  const keys = new Map<string, string>()
  let escaped = 0
  const property = fc.property(anyKey, key => {
    const name = encodeKey(key)
    if (name !== key) escaped++
    // Injective, over all keys that ever came.
    const before = keys.get(name)
    if (before !== undefined && before !== key) throw new Error(`${JSON.stringify([before, key])} have one name`)
    keys.set(name, key)
    if (decodeKey(name) !== key) throw new Error('decoding does not undo it')
    if (!isEncoded(name) || keyOfName(name) !== key) throw new Error('its name is not taken for its own')
    // A name is a key like any other: encoded again it is another one, where it has escapes.
    const again = encodeKey(name)
    if (decodeKey(again) !== name) throw new Error('a name is no key')
    if ((again === name) !== (name === key)) throw new Error('two keys have one name')
    // Whatever somebody else calls an object stands for a key that leads back to it: its own name, or none that is stored.
    const theirs = keyOfName(key)
    if (theirs !== key && encodeKey(theirs) !== key) throw new Error('a name of others cannot be reached')
    demandTaken(drivers, name)
  })
  fc.assert(property, { seed, numRuns })
  expect(escaped).toBeGreaterThan(numRuns / 4)
}

/** Checks so many pairs of a key, or of the beginning of one, and another key. */
export function checkPrefixes(seed: number, numRuns: number): void {
  const property = fc.property(anyKey, anyKey, fc.nat(12), (key, other, cut) => {
    demandTaken(prefixedDrivers, encodeKey(key))
    demandTaken({ ...drivers, ...prefixedDrivers }, markerKey(encodeKey(key)))
    const prefix = key.slice(0, cut).isWellFormed() ? key.slice(0, cut) : key
    for (const each of [key, prefix + other, `${prefix}x`]) {
      const name = encodeKey(each)
      if (!namePrefixes(prefix).some(range => name.startsWith(range))) {
        throw new Error(`${JSON.stringify(each)} is not found under ${JSON.stringify(prefix)}`)
      }
    }
    if (!encodeKey(`${prefix}x${other}`).startsWith(nameOfGroup(prefix))) {
      throw new Error(`${JSON.stringify(prefix)} begins otherwise`)
    }
  })
  fc.assert(property, { seed, numRuns })
}

export function seedOf(what: string): number {
  const seed = Number(process.env['HOLDFAST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  console.log(`${what}: HOLDFAST_SEED=${seed}`)
  return seed
}
