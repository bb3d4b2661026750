import type { Command } from 'commander'
import type { BlockedSelection, BlockedWrite } from '../../index.ts'
import { demandYes } from '../ask.ts'
import { Unsettled, Usage } from '../failure.ts'
import { bytesText, counted, plain } from '../format.ts'
import { type Act, type Context, openStore } from '../store.ts'

interface Which {
  readonly key?: string
  readonly provider?: string
  readonly reason?: string
}

interface Abandon extends Which {
  readonly why: string
  readonly lastCopy?: boolean
  readonly yes?: boolean
}

/** What waits for a person, and what a person does about it. */
export function addSettle(program: Command, act: Act): void {
  const blocked = program
    .command('blocked')
    .description('writes that wait for a person: lists them (3 where there are any), and settles them')
  const which = (command: Command) =>
    command
      .option('--key <key>', 'only of this key')
      .option('--provider <name>', 'only for this provider; also one that left the options')
      .option('--reason <reason>', 'only for this reason: RETENTION, CONFLICT, TOO_OLD …')
  which(blocked.command('list', { isDefault: true }).description('oldest first')).action(act(list))
  which(blocked.command('retry').description('sends them again: for when the cause was removed')).action(act(retry))
  which(blocked.command('abandon').description('gives them up for good: that provider does not get that write'))
    .requiredOption('--why <text>', 'kept with each, for whoever asks later')
    .option('--last-copy', 'also where nothing of the write is left then')
    .option('--yes', 'does not ask')
    .action(act(abandon))
  blocked.command('abandoned').description('what was given up, newest first').action(act(abandoned))
  program
    .command('retire')
    .description('settles what a provider that left the options for good is still owed')
    .argument('<provider>')
    .requiredOption('--why <text>', 'kept with each write that is given up, for whoever asks later')
    .option('--yes', 'does not ask')
    .action(act(retire))
  program
    .command('accept-bucket')
    .description('says that the bucket of a provider is another one now: it was emptied, or made anew')
    .argument('<provider>')
    .requiredOption('--why <text>', 'told with the event, for whoever asks later')
    .action(act(acceptBucket))
}

async function list(context: Context, which: Which): Promise<void> {
  const { io, say } = context
  await using opened = await openStore(context, { run: 'external', missing: 'refuse' })
  let found = 0
  const left = new Set<string>()
  for await (const write of opened.store.blocked.list({ ...selection(which), signal: io.signal })) {
    found++
    if (!write.configured) left.add(plain(write.provider))
    await say.json(write)
    for (const line of linesOf(write)) await say.line(line)
  }
  if (found === 0) return say.line('nothing is blocked')
  const ways = ['remove the cause, then `holdfast blocked retry`', 'or `holdfast blocked abandon --why …`']
  if (left.size > 0)
    ways.push(`or put ${[...left].join(', ')} back into the options, or \`holdfast retire\` what left for good`)
  throw new Unsettled(`${counted(found, 'write')} blocked: ${ways.join('; ')}`)
}

function linesOf({
  key,
  kind,
  size,
  provider,
  reason,
  message,
  acceptedAt,
  isElsewhere,
  configured,
}: BlockedWrite): string[] {
  const what = kind === 'delete' ? 'delete' : `put ${bytesText(size)}`
  const where = isElsewhere ? '' : '; no other provider has it'
  const left = configured ? '' : ' (it left the options)'
  return [
    `${plain(key)}  ${what}, ${acceptedAt.toISOString()}${where}`,
    `    ${plain(provider)}${left}: ${reason}, ${plain(message)}`,
  ]
}

async function retry(context: Context, which: Which): Promise<void> {
  const { say } = context
  await using opened = await openStore(context, { run: 'external', missing: 'refuse' })
  const retried = await opened.store.blocked.retry(selection(which))
  await say.json({ retried })
  await say.line(`${counted(retried, 'write')} sent again, by whoever replicates this directory`)
}

async function abandon(context: Context, flags: Abandon): Promise<void> {
  const { say } = context
  const { why, lastCopy = false, yes } = flags
  const which = selection(flags)
  if (Object.keys(which).length === 0 && yes !== true) {
    throw new Usage('this gives up all blocked writes: say which (--key, --provider, --reason), or --yes')
  }
  await using opened = await openStore(context, { run: 'external', missing: 'refuse' })
  await demandYes(context, 'Abandoned writes never reach their provider. Go on?', yes)
  const settled = await opened.store.blocked.abandon(which, { why, lastCopy })
  await tellSettled(
    context,
    settled,
    'they stay blocked: no other provider has them, nor gets them (--last-copy gives up these, too)',
  )
  say.note('`holdfast blocked abandoned` lists what was given up')
}

async function retire(context: Context, provider: string, { why, yes }: Abandon): Promise<void> {
  await using opened = await openStore(context, { run: 'external', missing: 'refuse' })
  await demandYes(context, `What ${plain(provider)} is still owed is given up. Go on?`, yes)
  const settled = await opened.store.retire(provider, { why })
  await tellSettled(
    context,
    settled,
    'no other provider has them: bring them to another one first (`holdfast drain`, or put it back into the options)',
  )
}

/** Without a question: nothing is given up and nothing deleted, and the store refuses where there is nothing to accept. */
async function acceptBucket(context: Context, provider: string, { why }: Pick<Abandon, 'why'>): Promise<void> {
  const { io, say } = context
  await using opened = await openStore(context, { run: 'external', missing: 'refuse' })
  const accepted = await opened.store.acceptBucket(provider, { why, signal: io.signal })
  const { identity = 'a bucket without a mark', before } = accepted
  await say.json(accepted)
  await say.line(`${plain(provider)} is ${identity} now, ${before} before`)
  say.note(`\`holdfast backfill --to ${plain(provider)}\` brings everything that the others have`)
}

async function tellSettled(
  { say }: Context,
  settled: { readonly abandoned: number; readonly kept: number },
  whyKept: string,
): Promise<void> {
  await say.json(settled)
  await say.line(`${counted(settled.abandoned, 'write')} given up`)
  if (settled.kept > 0) throw new Unsettled(`${counted(settled.kept, 'write')} kept: ${whyKept}`)
}

async function abandoned(context: Context): Promise<void> {
  const { say } = context
  await using opened = await openStore(context, { run: 'external', missing: 'refuse' })
  for (const write of await opened.store.blocked.abandoned()) {
    await say.json(write)
    const { key, kind, provider, reason, why, at } = write
    await say.line(`${at.toISOString()}  ${kind} ${plain(key)}, for ${plain(provider)}: ${reason}`)
    await say.line(`    ${plain(why)}`)
  }
}

/** The reason is checked, and another one suggested, by the store. */
function selection({ key, provider, reason }: Which): BlockedSelection {
  return {
    ...(key === undefined ? {} : { key }),
    ...(provider === undefined ? {} : { provider }),
    ...(reason === undefined ? {} : { reason: reason.toUpperCase() as NonNullable<BlockedSelection['reason']> }),
  }
}
