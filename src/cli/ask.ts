import { createInterface } from 'node:readline/promises'
import { Unsettled, Usage } from './failure.ts'
import { canAsk } from './io.ts'
import type { Context } from './store.ts'

/**
 * Goes on when a person says yes. Where nobody can be asked and nobody said --yes beforehand, it does not: a script says what it means. Usage then,
 * and Unsettled where the person says no.
 */
export async function demandYes({ io, say }: Context, question: string, isYes: boolean | undefined): Promise<void> {
  if (isYes === true) return
  if (!canAsk(io) || say.isJson) throw new Usage(`${question} There is nobody to ask: say --yes if it is meant`)
  const lines = createInterface({ input: io.stdin, output: io.stderr })
  try {
    const answer = await lines.question(`${question} [y/N] `, { signal: io.signal })
    if (!/^y(es)?$/i.test(answer.trim())) throw new Unsettled('nothing was done')
  } finally {
    lines.close()
  }
}
