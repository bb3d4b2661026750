import { cursorTo, clearScreenDown } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { Status } from '../../index.ts'
import { bytesText, countText, counted, plain, table, timeText } from '../format.ts'
import type { Say } from '../say.ts'
import { type Act, type Context, openStore } from '../store.ts'

interface Options {
  readonly watch?: boolean
}

export function addStatus(program: Command, act: Act): void {
  program
    .command('status')
    .description('what was accepted, how far it is, and how each provider is; asks no provider')
    .option('--watch', 'again and again, until it is stopped')
    .action(act(status))
}

async function status(context: Context, { watch }: Options): Promise<void> {
  const { io, say, every = 2 } = context
  await using opened = await openStore(context, { run: 'external', missing: 'refuse' })
  const directory = opened.options.directory
  const isScreen = watch === true && io.stdout.isTTY === true && !say.isJson
  for (;;) {
    const now = await opened.store.status()
    if (isScreen) {
      cursorTo(io.stdout, 0, 0)
      clearScreenDown(io.stdout)
    }
    for (const line of screenOf(now, directory, say)) await say.line(line)
    await say.json({ directory, ...now })
    if (watch !== true) return
    if (!isScreen) await say.line('')
    await sleep(every * 1000, undefined, { signal: io.signal })
  }
}

function screenOf(status: Status, directory: string, say: Say): string[] {
  const { accepted, done, superseded, pending, held, blocked, repairs, stage, providers } = status
  const weight = ({ writes, bytes }: { readonly writes: number; readonly bytes: number }) =>
    `${countText(writes)}${writes === 0 ? '' : ` (${bytesText(bytes)})`}`
  const oldest = pending.writes === 0 ? '' : `, the oldest for ${timeText(pending.oldestMs)}`
  const rows = [
    ['directory', plain(directory)],
    ['accepted', counted(accepted, 'write')],
    ['  done', countText(done)],
    ['  superseded', countText(superseded)],
    ['  pending', `${weight(pending)}${oldest}`],
    ['  held', weight(held)],
    ['  blocked', blocked.writes === 0 ? '0' : say.style('red', weight(blocked))],
    ['repairs', weight(repairs)],
    ...(status.abandoned === 0
      ? []
      : [['abandoned', `${countText(status.abandoned)} (\`holdfast blocked abandoned\` lists them)`]]),
    [
      'disk',
      `${bytesText(stage.bytes)} of ${bytesText(stage.limit)}${stage.journal === 'open' ? '' : `, ${say.style('red', stage.journal)}`}`,
    ],
  ]
  if (status.scrub !== undefined) rows.push(['scrub', scrubText(status.scrub)])
  const lines = [...table(rows), '']
  lines.push(
    ...table(
      [
        ['provider', 'role', 'state', 'pending', ''],
        ...providers.map(({ name, role, state, pendingWrites, ...more }) => [
          plain(name),
          role,
          say.style(state === 'up' ? 'green' : state === 'probing' ? 'yellow' : 'red', state),
          countText(pendingWrites),
          notesOf(name, more).join('; '),
        ]),
      ],
      [3],
    ),
  )
  for (const { provider, reason, writes } of blocked.reasons) {
    lines.push(
      `blocked: ${counted(writes, 'write')} for ${plain(provider)}, ${reason} (\`holdfast blocked\` lists them)`,
    )
  }
  const stopped = status.scrub?.stopped
  if (stopped !== undefined) {
    lines.push(`scrub stopped: ${plain(stopped.message)}; look at it, then \`holdfast reconcile --repair\``)
  }
  for (const { name, writes } of status.left) {
    lines.push(
      `${plain(name)} left the options, and is owed ${counted(writes, 'write')}: put it back, or \`holdfast retire\` it`,
    )
  }
  for (const warning of stage.warnings) lines.push(`warning: ${plain(warning)}`)
  return lines
}

function scrubText({ pass, lastPass, cursor }: NonNullable<Status['scrub']>): string {
  const { checked, differences, repaired, unknown, startedAt } = pass
  const since = `${countText(checked)} checked since ${startedAt.toISOString()}`
  const found = `${countText(differences)} differences, ${countText(repaired)} repaired, ${countText(unknown)} that could not be asked for`
  const at = cursor === '' ? '' : `, at ${plain(cursor)}`
  const before = lastPass === undefined ? '' : `; the last pass ended ${lastPass.endedAt.toISOString()}`
  return `${since}: ${found}${at}${before}`
}

type Notes = Omit<Status['providers'][number], 'name' | 'role' | 'state' | 'pendingWrites'>

function notesOf(name: string, { reason, message, filled, stale, clockOffsetMs = 0 }: Notes): string[] {
  const notes: string[] = []
  if (reason !== undefined || message !== undefined) {
    notes.push(
      [reason, message === undefined ? undefined : plain(message)].filter(each => each !== undefined).join(': '),
    )
  }
  if (!filled) notes.push(`unfilled: \`holdfast backfill --to ${plain(name)}\` brings it what the others have`)
  if (stale) notes.push('stale: away for too long, nothing is repaired from it until `holdfast reconcile --repair` ran')
  if (Math.abs(clockOffsetMs) > 5000) {
    notes.push(`its clock is ${timeText(Math.abs(clockOffsetMs))} ${clockOffsetMs > 0 ? 'ahead of' : 'behind'} ours`)
  }
  return notes
}
