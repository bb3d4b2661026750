import { compareKeys } from '../../core/key.ts'
import type { Upload } from '../../index.ts'

/** What a page of open uploads is asked for. '' for what was not given. */
export interface UploadsQuestion {
  readonly prefix: string
  readonly delimiter: string
  /** Uploads of later keys; of this key those after `idMarker`, and none without one. */
  readonly keyMarker: string
  readonly idMarker: string
  readonly most: number
}

export interface UploadsPage {
  readonly uploads: readonly Upload[]
  readonly prefixes: readonly string[]
  /** The last thing on the page, where there is more behind it. */
  readonly next: { readonly key: string; readonly id: string } | undefined
}

/**
 * One page of all open uploads with the prefix, which come in order of key and then of time. Uploads and common prefixes count alike
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html).
 */
export function uploadsPage(all: readonly Upload[], asked: UploadsQuestion): UploadsPage {
  const uploads: Upload[] = []
  const prefixes = new Set<string>()
  const isBehind = behind(all, asked)
  let last = { key: '', id: '' }
  for (const [index, upload] of all.entries()) {
    const group = groupOf(upload.key, asked)
    if (!isBehind(upload.key, index)) continue
    if (group !== undefined && (prefixes.has(group) || group === asked.keyMarker)) continue
    // S3 says of a page of nothing that there is no more.
    if (uploads.length + prefixes.size === asked.most)
      return { uploads, prefixes: [...prefixes], next: asked.most === 0 ? undefined : last }
    if (group === undefined) uploads.push(upload)
    else prefixes.add(group)
    last = group === undefined ? { key: upload.key, id: upload.id } : { key: group, id: '' }
  }
  return { uploads, prefixes: [...prefixes], next: undefined }
}

function groupOf(key: string, { prefix, delimiter }: UploadsQuestion): string | undefined {
  const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
  return cut < 0 ? undefined : key.slice(0, cut + delimiter.length)
}

function behind(
  all: readonly Upload[],
  { keyMarker, idMarker }: UploadsQuestion,
): (key: string, index: number) => boolean {
  if (keyMarker === '') return () => true
  const marked = idMarker === '' ? -1 : all.findIndex(({ id, key }) => id === idMarker && key === keyMarker)
  return (key, index) => {
    const order = compareKeys(key, keyMarker)
    // An upload that was the last of a page and is gone since: those of its key come again rather than not at all.
    return order > 0 || (order === 0 && idMarker !== '' && index > marked)
  }
}
