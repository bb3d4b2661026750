/** What is to be seen on a terminal that was sent this text: enough of one for what `holdfast` sends. Colours are left out. */
export function screenOf(text: string): string {
  const lines: string[][] = [[]]
  let [row, column] = [0, 0]
  const line = (at: number) => (lines[at] ??= [])
  for (const [token, parameters = '', final] of text.matchAll(/\u001b\[([\d;?]*)([A-Za-z])|[^]/gu)) {
    const count = Number.parseInt(parameters, 10)
    switch (final ?? token) {
      case '\r':
        column = 0
        break
      case '\n':
        row++
        line(row)
        break
      case 'A':
        if (final === undefined) put(token)
        else row = Math.max(0, row - (count || 1))
        break
      case 'G':
        if (final === undefined) put(token)
        else column = (count || 1) - 1
        break
      case 'H':
        if (final === undefined) put(token)
        else [row, column] = [0, 0]
        break
      case 'J':
        if (final === undefined) put(token)
        else {
          lines.length = row + 1
          line(row).length = Math.min(line(row).length, column)
        }
        break
      default:
        if (final === undefined) put(token)
    }
  }
  return lines
    .map(cells =>
      Array.from(cells, cell => cell ?? ' ')
        .join('')
        .trimEnd(),
    )
    .join('\n')
    .trimEnd()

  function put(character: string): void {
    line(row)[column] = character
    column++
  }
}
