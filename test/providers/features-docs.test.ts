import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { azureEquals, azureTagLimits, azureTiers } from '../../src/providers/azure/features.ts'
import { type Equal, type EqualTable, privateOnly } from '../../src/providers/features.ts'
import { gcsClasses, gcsEquals } from '../../src/providers/gcs/features.ts'

const page = (name: string): string => readFileSync(new URL(`../../docs/providers/${name}.md`, import.meta.url), 'utf8')
const code = (texts: readonly string[]): string => texts.map(text => `\`${text}\``).join(', ')

/** The right column of the table on the page. */
function said(equal: Equal): string | undefined {
  switch (equal.is) {
    case 'none':
      return undefined
    case 'so anyway':
      return `so anyway: ${code(equal.values)}; no other`
    case 'a word': {
      const words = Object.entries(equal.words).map(([s3, word]) => `\`${s3}\` → \`${word}\``)
      return `${equal.of}: ${words.join(', ')}; no other`
    }
    case 'converted':
      return `converted to ${equal.to}, where they fit`
    default:
      return equal satisfies never
  }
}

describe.each<[string, EqualTable]>([
  ['gcs', gcsEquals],
  ['azure', azureEquals],
])('the page of %s', (name, table) => {
  test("says of each of S3's features what the driver makes of it", () => {
    const rows = [...page(name).matchAll(/^\| `([A-Za-z]+)` \| ((?:so anyway|storage|access|converted).*) \|$/gm)]
    const expected = Object.entries(table).flatMap(([feature, equal]) => {
      const what = said(equal)
      return what === undefined ? [] : [[feature, what]]
    })
    const found = rows.map(([, feature, what]) => [feature, what])
    const inOrder = (pairs: readonly (readonly (string | undefined)[])[]) => pairs.map(pair => pair.join(': ')).sort()
    expect(inOrder(found)).toEqual(inOrder(expected))
  })
})

test('the pages name what may be given, and its limits', () => {
  expect(page('gcs')).toContain(`\`gcs.storageClass\` (${code(gcsClasses)})`)
  expect(page('azure')).toContain(`\`azure.tier\` (${code(azureTiers)})`)
  const { tags, keyCharacters, valueCharacters } = azureTagLimits
  expect(page('azure')).toContain(
    `at most ${tags}, keys of 1 to ${keyCharacters} and values of up to ${valueCharacters}`,
  )
  const kept = Object.entries(privateOnly).filter(([, { is }]) => is !== 'none')
  expect(kept).toEqual([['ACL', { is: 'so anyway', values: ['private'] }]])
})
