import type { Sample } from './sample.ts'

const width = 900
const height = 130
const left = 80
const gap = 34

interface Row {
  readonly title: string
  readonly unit: string
  value(sample: Sample): number
}

const mebibytes = 2 ** 20
const rows: readonly Row[] = [
  { title: 'memory of the app (RSS)', unit: 'MiB', value: ({ rss }) => rss / mebibytes },
  { title: 'open files', unit: '', value: ({ files }) => files },
  { title: 'local disk', unit: 'MiB', value: ({ disk }) => disk / mebibytes },
  { title: 'writes that not every cloud has', unit: '', value: ({ backlog }) => backlog },
]

/** The samples as an SVG: one row for each thing that was looked at, with the times at which something was wrong with a cloud in grey. */
export function plot(samples: readonly Sample[], title: string): string {
  const last = samples.at(-1)?.at ?? 1
  const x = (at: number) => left + (at / last) * (width - left - 20)
  const faulty = stretches(samples)
  const parts = rows.map(({ title: name, unit, value }, index) => {
    const top = 50 + index * (height + gap)
    const values = samples.map(value)
    const most = Math.max(1, ...values)
    const y = (number: number) => top + height - (number / most) * height
    const line = samples.map((sample, at) => `${x(sample.at).toFixed(1)},${y(values[at] ?? 0).toFixed(1)}`).join(' ')
    const grey = faulty.map(
      ({ from, to }) =>
        `<rect x="${x(from).toFixed(1)}" y="${top}" width="${Math.max(1, x(to) - x(from)).toFixed(1)}" height="${height}" fill="#ddd"/>`,
    )
    return [
      ...grey,
      `<text x="${left}" y="${top - 6}" font-size="13">${name}</text>`,
      `<text x="${left - 6}" y="${top + 10}" font-size="11" text-anchor="end">${rounded(most)} ${unit}</text>`,
      `<text x="${left - 6}" y="${top + height}" font-size="11" text-anchor="end">0</text>`,
      `<line x1="${left}" y1="${top + height}" x2="${width - 20}" y2="${top + height}" stroke="#888"/>`,
      `<polyline points="${line}" fill="none" stroke="#0a5" stroke-width="1.5"/>`,
    ].join('\n')
  })
  const bottom = 50 + rows.length * (height + gap)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${bottom + 10}" font-family="sans-serif">
<rect width="${width}" height="${bottom + 10}" fill="#fff"/>
<text x="${left}" y="20" font-size="15">${title}</text>
${parts.join('\n')}
<text x="${left}" y="${bottom}" font-size="11">0</text>
<text x="${width - 20}" y="${bottom}" font-size="11" text-anchor="end">${Math.round(last)} s; grey: something is wrong with a cloud</text>
</svg>
`
}

function stretches(samples: readonly Sample[]): { readonly from: number; readonly to: number }[] {
  const found: { from: number; to: number }[] = []
  for (const { at, fault } of samples) {
    const open = found.at(-1)
    if (fault === '') continue
    if (open !== undefined && at - open.to < 1.5) open.to = at
    else found.push({ from: at, to: at })
  }
  return found
}

function rounded(number: number): string {
  return number < 10 ? number.toFixed(1) : String(Math.round(number))
}
