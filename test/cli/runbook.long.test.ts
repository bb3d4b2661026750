import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { scene } from './runbook.ts'

// docs/runbook.md is run: what happens stands there in comments, commands in blocks, and what they print today is what the page says.
// HOLDFAST_WRITE_RUNBOOK=1 writes it into the page instead.

const file = join(import.meta.dirname, '..', '..', 'docs', 'runbook.md')
const isWriting = process.env['HOLDFAST_WRITE_RUNBOOK'] === '1'
const page = readFileSync(file, 'utf8')
const sections = page.split(/^(?=## )/m).filter(section => section.includes('```console'))

test.each(sections.map(section => [/^## (.*)$/m.exec(section)?.[1] ?? '', section]))(
  'the runbook prints what the commands print: %s',
  { timeout: 180_000 },
  async (_, section) => {
    await using told = await scene()
    let now = ''
    for (const [token, what, block] of section.matchAll(/^<!-- (.*) -->$|^```console\n([^]*?)^```$|[^]/gm)) {
      if (what !== undefined) await told.happens(what)
      now += block === undefined ? token : `\`\`\`console\n${await transcript(told.types, block)}\n\`\`\``
    }
    if (isWriting)
      writeFileSync(
        file,
        readFileSync(file, 'utf8').replace(section, () => now),
      )
    else expect(now).toBe(section)
  },
)

async function transcript(types: (command: string) => Promise<string>, block: string): Promise<string> {
  const parts: string[] = []
  for (const [line, command] of block.matchAll(/^\$ holdfast (.*)$/gm)) {
    parts.push(`${line}\n${await types(command ?? '')}`.trimEnd())
  }
  return parts.join('\n\n')
}
