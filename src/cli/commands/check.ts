import type { Command } from 'commander'
import { Failed } from '../failure.ts'
import { counted, plain } from '../format.ts'
import { type Act, type Context, openStore } from '../store.ts'

export function addCheck(program: Command, act: Act): void {
  program
    .command('check')
    .description('asks each provider for everything that is needed of it, and says what is wrong; for deploy time')
    .action(act(check))
}

/** Without a directory yet, in one that is gone afterwards: the app's own user is to make the real one. */
async function check(context: Context): Promise<void> {
  const { io, say } = context
  await using opened = await openStore(context, { run: 'external', missing: 'pass' })
  const results = await opened.store.check({ signal: io.signal })
  await say.json(results)
  for (const { provider, ok, findings } of results) {
    await say.line(`${ok ? say.style('green', 'ok    ') : say.style('red', 'wrong ')}  ${plain(provider)}`)
    for (const finding of findings) await say.line(`        ${plain(finding)}`)
  }
  const wrong = results.filter(({ ok }) => !ok).map(({ provider }) => plain(provider))
  if (wrong.length > 0)
    throw new Failed(`${counted(wrong.length, 'provider')} cannot be used as it is: ${wrong.join(', ')}`)
}
