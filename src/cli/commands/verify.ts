import type { Command } from 'commander'
import { Unsettled, Usage } from '../failure.ts'
import { counted, plain } from '../format.ts'
import { type Act, type Context, openStore } from '../store.ts'
import { linesOf } from './inspect.ts'
import { compared, differencesOf } from './reconcile.ts'

interface Options {
  readonly prefix?: string
}

export function addVerify(program: Command, act: Act): void {
  program
    .command('verify')
    .description(
      'reads a key, or all keys with a prefix, at every provider and compares the bytes (3 where they differ); repairs nothing',
    )
    .argument('[key]')
    .option('--prefix <prefix>', 'all keys that begin with it; "" is everything')
    .action(act(verify))
}

async function verify(context: Context, key: string | undefined, { prefix }: Options): Promise<void> {
  const { io, say } = context
  if (key !== undefined && prefix !== undefined) throw new Usage('say either a KEY or --prefix, not both')
  if (key === undefined && prefix === undefined) throw new Usage('say which KEY, or --prefix')
  await using opened = await openStore(context, { run: 'external', missing: 'refuse' })
  if (prefix !== undefined) {
    const counters = await compared(context, opened.store, { prefix, deep: true, attributes: true })
    const wrong = differencesOf(counters) + counters.unknown
    if (wrong > 0)
      throw new Unsettled(
        `${counted(wrong, 'key')} not the same everywhere; \`holdfast reconcile --repair --deep\` settles what can be settled`,
      )
    return
  }
  const inspection = await opened.store.inspect(key ?? '', { deep: true, signal: io.signal })
  await say.json(inspection)
  for (const line of linesOf(inspection, say)) await say.line(line)
  if (!inspection.agree)
    throw new Unsettled(
      `${plain(key ?? '')} is not the same everywhere; \`holdfast reconcile --repair --deep\` settles what can be settled`,
    )
}
