const width = 900
const height = 260
const left = 80
const right = 170
const gap = 60
const colours = ['#0a5', '#a50', '#36b'] as const

/** What was measured of one way of keeping a body, over its size. */
export interface Growth {
  readonly name: string
  readonly points: readonly { readonly bytes: number; readonly perSecond: number }[]
}

interface Panel {
  readonly title: string
  value(point: Growth['points'][number]): number
}

const panels: readonly Panel[] = [
  { title: 'µs per body', value: ({ perSecond }) => 1e6 / perSecond },
  { title: 'MiB per second', value: ({ bytes, perSecond }) => (bytes * perSecond) / 2 ** 20 },
]

/** As an SVG: what a body costs, and how many bytes go through in a second, over the size of a body. All axes are logarithmic. */
export function plotGrowth(growths: readonly Growth[], title: string): string {
  const sizes = growths.flatMap(({ points }) => points.map(({ bytes }) => bytes))
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)]
  const x = (bytes: number) => left + (Math.log(bytes / least) / Math.log(most / least)) * (width - left - right)
  const parts = panels.map((panel, index) => drawn(panel, growths, 60 + index * (height + gap), x))
  const bottom = 60 + panels.length * (height + gap)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${bottom}" font-family="sans-serif">
<rect width="${width}" height="${bottom}" fill="#fff"/>
<text x="${left}" y="22" font-size="15">${title}</text>
${parts.join('\n')}
</svg>
`
}

function drawn(panel: Panel, growths: readonly Growth[], top: number, x: (bytes: number) => number): string {
  const values = growths.flatMap(({ points }) => points.map(panel.value))
  const [from, to] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))]
  const y = (value: number) => top + height - ((Math.log10(value) - from) / (to - from)) * height
  const decades = Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i))
  const sizes = [...new Set(growths.flatMap(({ points }) => points.map(({ bytes }) => bytes)))]
  const ends = apart(growths.map(({ points }) => y(panel.value(points.at(-1) as Growth['points'][number]))))
  return [
    `<text x="${left}" y="${top - 10}" font-size="13">${panel.title}</text>`,
    ...decades.flatMap(value => [
      `<line x1="${left}" y1="${y(value).toFixed(1)}" x2="${width - right}" y2="${y(value).toFixed(1)}" stroke="#ddd"/>`,
      `<text x="${left - 6}" y="${(y(value) + 4).toFixed(1)}" font-size="11" text-anchor="end">${value.toLocaleString('en')}</text>`,
    ]),
    ...sizes.map(
      bytes =>
        `<text x="${x(bytes).toFixed(1)}" y="${top + height + 18}" font-size="11" text-anchor="middle">${sizeText(bytes)}</text>`,
    ),
    `<line x1="${left}" y1="${top + height}" x2="${width - right}" y2="${top + height}" stroke="#888"/>`,
    ...growths.flatMap(({ name, points }, i) => {
      const colour = colours[i % colours.length]
      const line = points.map(point => `${x(point.bytes).toFixed(1)},${y(panel.value(point)).toFixed(1)}`)
      return [
        `<polyline points="${line.join(' ')}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
        ...line.map(at => `<circle cx="${at.split(',')[0]}" cy="${at.split(',')[1]}" r="2.5" fill="${colour}"/>`),
        `<text x="${width - right + 8}" y="${((ends[i] ?? 0) + 4).toFixed(1)}" font-size="11" fill="${colour}">${name}</text>`,
      ]
    }),
  ].join('\n')
}

/** The same heights, moved down where names would lie on one another. */
function apart(heights: readonly number[]): readonly number[] {
  const placed: number[] = []
  const order = heights.map((_, i) => i).toSorted((a, b) => (heights[a] ?? 0) - (heights[b] ?? 0))
  let last = Number.NEGATIVE_INFINITY
  for (const i of order) {
    last = Math.max(heights[i] ?? 0, last + 14)
    placed[i] = last
  }
  return placed
}

function sizeText(bytes: number): string {
  return bytes >= 2 ** 20 ? `${bytes / 2 ** 20} MiB` : `${bytes / 2 ** 10} KiB`
}
