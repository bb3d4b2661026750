import { InvalidArgumentError } from 'commander'

/** A whole number of at least `least`, for an option. */
export function wholeNumber(least: number): (value: string) => number {
  return value => {
    const number = Number(value)
    if (value.trim() !== '' && Number.isSafeInteger(number) && number >= least) return number
    throw new InvalidArgumentError(`It must be a whole number of at least ${least}.`)
  }
}

/** A number above 0, for an option. */
export function positive(value: string): number {
  const number = Number(value)
  if (Number.isFinite(number) && number > 0) return number
  throw new InvalidArgumentError('It must be a number above 0.')
}

/** `20`, `20MiB`, `1.5GB`: bytes. */
export function byteCount(value: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt]i?b?|b)?$/i.exec(value.trim()) ?? []
  const power = ['', 'k', 'm', 'g', 't'].indexOf(unit.replace(/i?b?$/i, '').toLowerCase())
  const bytes = Math.floor(Number(number) * (/i/i.test(unit) ? 1024 : 1000) ** power)
  if (number !== '' && Number.isSafeInteger(bytes) && bytes > 0) return bytes
  throw new InvalidArgumentError('It must be a number of bytes, such as 500000, 20MiB or 1.5GB.')
}

/** For an option that may be given several times. */
export function severally(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value]
}
