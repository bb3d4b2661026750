import type { Command } from 'commander'
import { demandYes } from '../ask.ts'
import { Usage } from '../failure.ts'
import { counted, plain } from '../format.ts'
import { progress } from '../progress.ts'
import { type Act, type Context, openStore } from '../store.ts'

interface Options {
  readonly prefix?: string
  readonly everything?: boolean
  readonly dryRun?: boolean
  readonly yes?: boolean
}

export function addRemove(program: Command, act: Act): void {
  program
    .command('rm')
    .description('deletes a key, or all keys with a prefix, at every provider')
    .argument('[key]')
    .option('--prefix <prefix>', 'all keys that begin with it')
    .option('--everything', 'with --prefix "": really all keys')
    .option('--dry-run', 'with --prefix: only counts them')
    .option('--yes', 'with --prefix: does not ask')
    .action(act(remove))
}

async function remove(context: Context, key: string | undefined, options: Options): Promise<void> {
  const { io, say } = context
  const { prefix } = options
  if (key !== undefined && prefix !== undefined) throw new Usage('say either a KEY or --prefix, not both')
  if (prefix !== undefined) return removeMany(context, prefix, options)
  if (key === undefined) throw new Usage('say which KEY, or --prefix')
  const stray = (['everything', 'dryRun', 'yes'] as const).find(name => options[name] === true)
  if (stray !== undefined && stray !== 'yes')
    throw new Usage(`--${stray === 'dryRun' ? 'dry-run' : stray} is for --prefix`)
  await using opened = await openStore(context, { run: 'external', missing: 'refuse' })
  const { version } = await opened.store.delete(key, { signal: io.signal })
  await say.json({ key, version })
  await say.line(`${plain(key)}  deleted  ${version}`)
  say.note('safe on local disk; it goes to the providers with the app, `holdfast worker` or `holdfast drain`')
}

async function removeMany(context: Context, prefix: string, { everything, dryRun, yes }: Options): Promise<void> {
  const { io, say, every } = context
  if (prefix === '' && everything !== true)
    throw new Usage('an empty prefix means all keys: say --everything if that is meant')
  await using opened = await openStore(context, { run: 'external', missing: 'refuse' })
  const which = { prefix, ...(everything === true ? { everything } : {}), signal: io.signal }
  if (dryRun === true || yes !== true) {
    const { deleted } = await opened.store.deleteMany({ ...which, dryRun: true })
    if (dryRun === true) {
      await say.json({ prefix, dryRun, deleted })
      return say.line(`${counted(deleted, 'key')} would be deleted`)
    }
    await demandYes(
      context,
      `${counted(deleted, 'key')} with the prefix ${plain(prefix)} will be deleted everywhere. Go on?`,
      yes,
    )
  }
  using shown = progress(io, say, every)
  const run = opened.store.deleteMany(which)
  for await (const { deleted } of run) shown.show([{ label: 'deleted', done: deleted, total: undefined }])
  const { deleted } = await run
  shown.clear()
  await say.json({ prefix, deleted })
  await say.line(`${counted(deleted, 'key')} deleted`)
}
