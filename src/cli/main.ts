import { type Command, CommanderError } from 'commander'
import { exitCodeOf, exitCodes, isHoldfastError, Usage } from './failure.ts'
import { type Io, Interrupted } from './io.ts'
import { programFor } from './program.ts'
import { sayTo } from './say.ts'

/** Runs one command line. Never rejects: whatever goes wrong is one line on stderr, and a number. */
export async function main(args: readonly string[], io: Io): Promise<number> {
  // Also where the arguments themselves are what is wrong.
  const say = sayTo(io, args.includes('--json'))
  const isVerbose = args.includes('--verbose')
  const program = programFor(io)
  try {
    await program.parseAsync(args, { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return exitCodes.ok
      if (error.code === 'commander.help') {
        io.stderr.write(helpFor(program, args))
        return exitCodes.usage
      }
      say.error(new Usage(wordsOf(error)), isVerbose)
      return exitCodes.usage
    }
    const { reason } = io.signal
    if (reason instanceof Interrupted) {
      if (isHoldfastError(error) && error.outcome === 'accepted') say.error(error, isVerbose)
      else if (reason.by !== 'EPIPE') say.error(reason, false)
      return exitCodeOf(reason)
    }
    say.error(error, isVerbose)
    return exitCodeOf(error)
  }
}

/** Of the program, where no command was said; of a command that has commands of its own. */
function helpFor(program: Command, args: readonly string[]): string {
  const named = program.commands.find(command => args.includes(command.name()))
  return (named ?? program).helpInformation()
}

/** Commander's words, in one line, without the value of a flag that there is none of: it may be a secret. */
function wordsOf({ message }: CommanderError): string {
  const line = message
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ')
    .replace(/('--?[^'=]*)=[^']*'/, "$1=…'")
  if (/unknown option '--?[^']*(key|secret|token|credential|password)/i.test(line)) {
    return `${line}: no credentials in flags; the SDK of each provider looks for them in the environment`
  }
  return line
}
