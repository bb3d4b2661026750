import { s3Error } from './errors.ts'

/** Where a copy comes from. */
export interface CopySource {
  readonly bucket: string
  readonly key: string
  /** `?versionId=`; `null` is the object that has none. */
  readonly versionId: string | undefined
}

/** `bucket/key`, URL-encoded, with a slash before it or not. `undefined` for what S3 would refuse, and for ARNs, which name no bucket. */
export function sourceOf(given: unknown): CopySource | undefined {
  if (typeof given !== 'string' || given.startsWith('arn:')) return undefined
  const [path = '', versionId] = given.split('?versionId=')
  const decoded = decode(path)?.replace(/^\//, '') ?? ''
  const slash = decoded.indexOf('/')
  if (slash <= 0 || slash === decoded.length - 1) return undefined
  return { bucket: decoded.slice(0, slash), key: decoded.slice(slash + 1), versionId }
}

/** The same, or the error that S3 would give. */
export function demandSource(given: unknown): CopySource {
  const source = sourceOf(given)
  if (source === undefined) {
    throw s3Error(
      'InvalidArgument',
      400,
      'Copy Source must mention the source bucket and key: sourcebucket/sourcekey',
      {
        ArgumentName: 'x-amz-copy-source',
        ArgumentValue: String(given),
      },
    )
  }
  if (source.versionId !== undefined && source.versionId !== 'null') {
    const message = 'CopySource: ?versionId= is refused: versions are kept by one bucket, not by Holdfast'
    throw s3Error('NotImplemented', 501, message, { Header: 'CopySource' })
  }
  return source
}

/** A plus is a blank to S3 here. */
function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
