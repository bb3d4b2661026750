import { createHash, hash } from 'node:crypto'
import { crc32c, hex32 } from '../core/digest.ts'
import { type Recognised, recognise } from '../core/entry.ts'
import { HoldfastError, shown } from '../core/errors.ts'
import type { RemoteObject } from '../core/provider.ts'
import type { Version } from '../core/version.ts'
import type { CachedBody, WriteRow } from '../journal/contract.ts'
import type { ReadProvider } from './types.ts'

/** Which bytes exactly a body is made of, so that no other ones are ever put behind them. */
export interface Pin {
  readonly key: string
  readonly version: Version
  /** Bytes of the whole object. */
  readonly size: number
  /** Digests of the whole object. An object that Holdfast did not write may have none. */
  readonly crc32c: string | undefined
  readonly md5: string | undefined
  /** Whether it carries our entry: then version, size and digest say it all. */
  readonly isOurs: boolean
  /** Where it was found, and what it is called there. */
  readonly origin: { readonly at: ReadProvider; readonly token: string } | undefined
}

export function pinOfLocal(key: string, { version, size, crc32c: crc, md5 }: WriteRow | CachedBody): Pin {
  return { key, version, size, crc32c: crc, md5, isOurs: true, origin: undefined }
}

export function pinOfRemote(at: ReadProvider, object: RemoteObject, recognised: Recognised): Pin {
  const { key, size, attested, token } = object
  const isOurs = recognised.whose === 'ours'
  const crc = isOurs ? recognised.entry.crc32c : attested.crc32c
  return { key, version: recognised.version, size, crc32c: crc, md5: attested.md5, isOurs, origin: { at, token } }
}

/** Whether what a provider has now is the pinned object, byte for byte. */
export function isPinned(pin: Pin, at: ReadProvider, object: RemoteObject): boolean {
  if (object.size !== pin.size) return false
  const found = recognise(object)
  if (pin.isOurs || found.whose === 'ours') {
    return pin.isOurs && found.whose === 'ours' && found.version === pin.version && found.entry.crc32c === pin.crc32c
  }
  const { crc32c: crc, md5 } = object.attested
  if (crc !== undefined && pin.crc32c !== undefined) return crc === pin.crc32c
  if (md5 !== undefined && pin.md5 !== undefined) return md5 === pin.md5
  return pin.origin?.at === at && pin.origin.token === object.token
}

/** The condition under which this provider may be asked for more of it, where it can read under one. */
export function tokenFor({ origin }: Pin, at: ReadProvider): string | undefined {
  return origin?.at === at && at.provider.capabilities.readIf ? origin.token : undefined
}

/** Compares a whole body with the strongest digest that is known of it. */
export interface Check {
  update(bytes: Uint8Array): void
  /** Call once, after the last byte. */
  isRight(): boolean
}

export function checkOf(pin: Pin): Check {
  const { crc32c: wantedCrc, md5: wantedMd5 } = pin
  if (wantedCrc !== undefined) {
    let crc = 0
    return {
      update: bytes => {
        crc = crc32c(bytes, crc)
      },
      isRight: () => hex32(crc) === wantedCrc,
    }
  }
  if (wantedMd5 === undefined) return { update: () => {}, isRight: () => true }
  const md5 = createHash('md5')
  return { update: bytes => void md5.update(bytes), isRight: () => md5.digest('hex') === wantedMd5 }
}

/** The same of bytes that are all there: whether they are the pinned object. */
export function isWhole({ size, crc32c: wantedCrc, md5: wantedMd5 }: Pin, bytes: Uint8Array): boolean {
  if (bytes.byteLength !== size) return false
  if (wantedCrc !== undefined) return hex32(crc32c(bytes)) === wantedCrc
  return wantedMd5 === undefined || hash('md5', bytes) === wantedMd5
}

/** The bytes that came are not those of this version. */
export function corrupt({ key, version }: Pin, from: string): HoldfastError {
  return new HoldfastError('CORRUPT', `${from}: the bytes of ${shown(key)} are not those of version ${version}`, {
    field: 'digest',
    key,
    version,
    provider: from,
    retryable: true,
  })
}
