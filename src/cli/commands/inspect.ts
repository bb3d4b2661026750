import type { Command } from 'commander'
import type { InspectedProvider, InspectedWrite, Inspection } from '../../index.ts'
import { bytesText, counted, plain, table } from '../format.ts'
import type { Say } from '../say.ts'
import { type Act, type Context, openStore } from '../store.ts'

interface Options {
  readonly deep?: boolean
}

export function addInspect(program: Command, act: Act): void {
  program
    .command('inspect')
    .description('one key: what the journal knows of it, and what each provider has')
    .argument('<key>')
    .option('--deep', 'reads the bytes at every provider, and compares them')
    .action(act(inspect))
}

async function inspect(context: Context, key: string, { deep = false }: Options): Promise<void> {
  const { io, say } = context
  await using opened = await openStore(context, { run: 'external', missing: 'refuse' })
  const inspection = await opened.store.inspect(key, { deep, signal: io.signal })
  await say.json(inspection)
  for (const line of linesOf(inspection, say)) await say.line(line)
}

/** For people. */
export function linesOf({ key, journal, providers, agree }: Inspection, say: Say): string[] {
  const { open, tentative, deleted, newest, cached, isOpen } = journal
  const rows = [
    ['key', plain(key)],
    ['journal', isOpen ? 'a write or a repair is on its way' : 'nothing is on its way'],
    ...(newest === undefined ? [] : [['  newest known', newest]]),
    ...(deleted === undefined ? [] : [['  deleted', deleted]]),
    ...(cached === undefined ? [] : [['  cached', `${cached.version}, ${bytesText(cached.size)}`]]),
  ]
  const lines = [...table(rows)]
  if (open !== undefined) lines.push(...linesOfWrite('accepted', open))
  if (tentative !== undefined) lines.push(...linesOfWrite('not decided yet', tentative))
  lines.push('', ...table(providers.map(rowOf)), '')
  lines.push(agree ? say.style('green', 'all providers agree') : say.style('red', 'the providers do not agree'))
  return lines
}

function linesOfWrite(
  what: string,
  { kind, version, size, acceptedAt, isDamaged, replicas }: InspectedWrite,
): string[] {
  const damaged = isDamaged ? ', DAMAGED on local disk' : ''
  return [
    `${what}: ${kind} ${version}, ${bytesText(size)}, ${acceptedAt.toISOString()}${damaged}`,
    ...table(
      replicas.map(({ provider, state, attempts, reason, message }) => [
        `  ${plain(provider)}`,
        state,
        attempts === 0 ? '' : counted(attempts, 'attempt'),
        [reason, message === undefined ? undefined : plain(message)].filter(each => each !== undefined).join(': '),
      ]),
    ),
  ]
}

function rowOf({ provider, object, marker, error }: InspectedProvider): string[] {
  const deleted = marker === undefined ? '' : `deleted ${marker.version}`
  if (error !== undefined)
    return [plain(provider), 'cannot say', `${error.reason ?? error.code}: ${plain(error.message)}`]
  if (object === undefined) return [plain(provider), 'nothing', deleted]
  const { whose, version, size, crc32c, modifiedAt, bytesRead } = object
  const digest = crc32c === undefined ? '' : `crc32c ${crc32c}${bytesRead === undefined ? '' : ' (read)'}`
  return [plain(provider), whose, version, bytesText(size), digest, modifiedAt.toISOString(), deleted]
}
