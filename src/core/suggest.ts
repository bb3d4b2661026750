/**
 * Ends the message about a name that there is none of: `; did you mean …?` where one of `names` is near, or else all there are. Capitals
 * do not matter; names of more than 64 characters are compared with nothing.
 */
export function suggestion(name: string, names: readonly string[]): string {
  const near = closest(name, names)
  return near === undefined ? `; there are: ${names.join(', ')}` : `; did you mean ${near}?`
}

/** The name that a person who wrote `name` may have meant: its end left out or more put after it, or at most a third of its letters wrong. */
function closest(name: string, names: readonly string[]): string | undefined {
  if (name.length > 64) return undefined
  const written = name.toLowerCase()
  let best: string | undefined
  let least = Math.max(1, Math.floor(name.length / 3)) + 1
  for (const candidate of names) {
    const distance = distanceOf(written, candidate.toLowerCase())
    if (distance < least) {
      least = distance
      best = candidate
    }
  }
  return best
}

function distanceOf(written: string, wanted: string): number {
  if (written.length > 2 && wanted.startsWith(written)) return 0
  const distance = editDistance(written, wanted)
  return wanted.length > 2 && written.startsWith(wanted) ? Math.min(1, distance) : distance
}

/** Letters to insert, drop, change, or swap with their neighbour until one is the other. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row[j] = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + (same ? 0 : 1))
      if (swapped) row[j] = Math.min(at(row, j), at(before, j - 2) + 1)
    }
    before = last
    last = row
  }
  return at(last, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
