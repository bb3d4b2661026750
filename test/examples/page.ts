import type { S3FeatureName } from '../../src/core/features.ts'
import { azureEquals, azureTagLimits } from '../../src/providers/azure/features.ts'
import { type Equal, privateOnly } from '../../src/providers/features.ts'
import { gcsEquals } from '../../src/providers/gcs/features.ts'
import type { Started } from '../support/clouds.ts'

/** The code blocks of a page in one language, in order. */
export function blocksOf(markdown: string, language: string): string[] {
  return [...markdown.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, code = '']) => code,
  )
}

/** What a diff leads to (without `-`), or comes from (without `+`). */
export function withoutLines(diff: string, mark: '+' | '-'): string {
  const lines = diff.split('\n').filter(line => !line.startsWith(mark))
  return lines.map(line => line.slice(1)).join('\n')
}

/** Code of a page as it runs here: nothing is changed but where the clouds and the directory are. */
export function atLocalClouds(code: string, { s3, gcs }: Pick<Started, 's3' | 'gcs'>, directory: string): string {
  return code
    .replace("'/var/lib/photos'", JSON.stringify(directory))
    .replaceAll(
      "region: 'eu-central-1'",
      `region: 'us-east-1', forcePathStyle: true, endpoint: ${JSON.stringify(s3.endpoint)}`,
    )
    .replace(
      "bucket: 'photos-copy'",
      `bucket: 'photos', apiEndpoint: ${JSON.stringify(gcs.endpoint)}, projectId: 'local'`,
    )
}

/** The table of features in docs/wrap-existing-s3-code.md, from what the drivers go by; fields with the same row share one. */
export function featureTable(): string {
  const rows = new Map<string, S3FeatureName[]>()
  for (const name of Object.keys(gcsEquals) as S3FeatureName[]) {
    const row = [gcsEquals, azureEquals, privateOnly].map(table => said(table[name])).join(' | ')
    rows.set(row, [...(rows.get(row) ?? []), name])
  }
  const lines = [...rows].map(([row, names]) => `| ${names.map(name => `\`${name}\``).join(', ')} | ${row} |`)
  return `| field | \`gcs\` | \`azure\` | \`fs\`, \`memory\` |\n|---|---|---|---|\n${lines.join('\n')}\n`
}

function said(equal: Equal): string {
  switch (equal.is) {
    case 'none':
      return 'refused'
    case 'so anyway':
      return `${equal.values.map(value => `\`${value}\``).join(', ')}: so anyway`
    case 'a word':
      return `${equal.of}: ${grouped(equal.words)}`
    case 'converted':
      return `${equal.to}, at most ${azureTagLimits.tags}`
    default:
      return equal satisfies never
  }
}

/** `A, B → X; C → Y` */
function grouped(words: Readonly<Record<string, string>>): string {
  const byWord = Object.groupBy(Object.entries(words), ([, word]) => word)
  const groups = Object.entries(byWord).map(
    ([word, pairs = []]) => `${pairs.map(([value]) => `\`${value}\``).join(', ')} → \`${word}\``,
  )
  return groups.join('; ')
}
