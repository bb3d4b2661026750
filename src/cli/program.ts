import { readFileSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import { addCheck } from './commands/check.ts'
import { addDrain } from './commands/drain.ts'
import { addFill } from './commands/fill.ts'
import { addInspect } from './commands/inspect.ts'
import { addObjects } from './commands/objects.ts'
import { addReconcile } from './commands/reconcile.ts'
import { addRemove } from './commands/remove.ts'
import { addSettle } from './commands/settle.ts'
import { addStatus } from './commands/status.ts'
import { addVerify } from './commands/verify.ts'
import { addWorker } from './commands/worker.ts'
import type { Io } from './io.ts'
import { sayTo } from './say.ts'
import type { Act } from './store.ts'

interface Globals {
  readonly config?: string
  readonly directory?: string
  readonly primary?: string
  readonly secondary?: string
  readonly mirror?: readonly string[]
  readonly json?: boolean
  readonly every?: number
}

/** All commands with their options. Nothing is opened before one of them is parsed. */
export function programFor(io: Io): Command {
  const program = new Command('holdfast')
    .description(
      'Looks after the objects that an app keeps on two clouds. Works beside the running app, on the same directory.',
    )
    .version(versionOf(), '--version', 'says which version this is')
    .exitOverride()
    .configureOutput({ writeOut: text => void io.stdout.write(text), writeErr: () => {}, outputError: () => {} })
    .configureHelp({ showGlobalOptions: true, sortOptions: false })
    .showHelpAfterError(false)
    .helpCommand('help [command]', 'says how a command is used')
    .addOption(
      new Option('--config <file>', 'the config file (else holdfast.config.{ts,mts,js,mjs,json} here or above)'),
    )
    .addOption(
      new Option('--directory <dir>', 'the directory of the store; alone it replaces the one of the config file'),
    )
    .addOption(
      new Option(
        '--primary <spec>',
        'instead of a config file: s3:bucket?region=…, gcs:bucket, azure:container, fs:/root',
      ),
    )
    .addOption(new Option('--secondary <spec>', 'the other copy, written the same way'))
    .addOption(new Option('--mirror <spec>', 'one more copy; may be given several times').argParser(collect))
    .addOption(new Option('--json', 'results as JSON, one document or a line each; errors as JSON on stderr'))
    .addOption(
      new Option('--every <seconds>', 'time between lines of progress, and between looks of --watch').argParser(
        seconds,
      ),
    )
    .addOption(new Option('--verbose', 'errors with their stack'))
  const act: Act =
    work =>
    (...args) => {
      const { json, every, ...sources } = program.opts<Globals>()
      return work({ io, say: sayTo(io, json === true), sources, every }, ...args)
    }
  program.commandsGroup('Looking:')
  addStatus(program, act)
  addCheck(program, act)
  addInspect(program, act)
  addVerify(program, act)
  program.commandsGroup('Objects:')
  addObjects(program, act)
  addRemove(program, act)
  program.commandsGroup('Keeping copies equal:')
  addDrain(program, act)
  addReconcile(program, act)
  addSettle(program, act)
  addFill(program, act)
  addWorker(program, act)
  program.commandsGroup('Other:')
  return program
}

/** Beside `src` as beside `dist`. */
function versionOf(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return version
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value]
}

function seconds(value: string): number {
  const number = Number(value)
  if (Number.isFinite(number) && number >= 0.05 && number <= 86_400) return number
  throw new InvalidArgumentError('It must be a number of seconds from 0.05 to 86400.')
}
