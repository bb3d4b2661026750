import { Refusal } from './refusal.ts'

/** Half-open, in bytes. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** What a Range header asks for; undefined where S3 ignores it and answers with everything. InvalidRange where there is nothing of it. */
export function rangeOf(value: string | undefined, size: number): Range | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(value?.replaceAll(' ', '') ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  const unsatisfiable = new Refusal('InvalidRange', { RangeRequested: value ?? '', ActualObjectSize: size })
  if (first === '') {
    const count = Number(last)
    if (count === 0 || size === 0) throw unsatisfiable
    return { start: Math.max(0, size - count), end: size }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return undefined
  if (start >= size) throw unsatisfiable
  return { start, end: last === '' ? size : Math.min(size, Number(last) + 1) }
}

/** What `x-amz-copy-source-range` asks for: stricter than a Range header. */
export function sourceRangeOf(value: string | undefined, size: number): Range {
  if (value === undefined) return { start: 0, end: size }
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(value) ?? []
  const argument = { ArgumentName: 'x-amz-copy-source-range', ArgumentValue: value }
  if (first === undefined || last === undefined || Number(first) > Number(last))
    throw new Refusal(
      'InvalidArgument',
      argument,
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
    )
  if (Number(last) >= size)
    throw new Refusal('InvalidArgument', argument, `Range specified is not valid for source object of size: ${size}`)
  return { start: Number(first), end: Number(last) + 1 }
}

/** The bytes of a part of an object, and how many parts it has. An object that was not uploaded in parts is its own part 1. */
export function partRange(
  number: string,
  size: number,
  parts: readonly (readonly [number: number, size: number, checksum: string])[] | undefined,
): Range & { checksum: string | undefined } {
  if (!/^\d+$/.test(number) || Number(number) < 1 || Number(number) > 10_000)
    throw new Refusal(
      'InvalidArgument',
      { ArgumentName: 'partNumber', ArgumentValue: number },
      'Part number must be an integer between 1 and 10000, inclusive',
    )
  if (parts === undefined && number === '1') return { start: 0, end: size, checksum: undefined }
  let start = 0
  for (const [index, [, partSize, checksum]] of (parts ?? []).entries()) {
    if (index + 1 === Number(number)) return { start, end: start + partSize, checksum }
    start += partSize
  }
  throw new Refusal('InvalidPartNumber', {
    ActualPartCount: parts?.length ?? 1,
    PartNumberRequested: number,
  })
}
