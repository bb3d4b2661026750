import { basename, join, resolve } from 'node:path'
import { HoldfastError } from '../src/index.ts'
import { names, providersOf, startClouds } from './clouds.ts'
import { type Chosen, chooseFiles } from './files.ts'
import { openLedger } from './ledger.ts'
import { startWriter } from './life.ts'
import { openPlace, removePlace } from './place.ts'
import { play } from './play.ts'
import { prove } from './proof.ts'
import { isGood, reportOf, sizeOf } from './report.ts'
import { sceneOf, type Standing } from './scene.ts'
import { openScreen, sceneText, styled } from './screen.ts'
import { type Things, things } from './things.ts'

/**
 * `npm run demo`, or `npm run demo -- FOLDER`: shows with real files, two local clouds, a silent outage and a `kill -9` that nothing that was
 * acknowledged is lost. Ends with 0 if so, 1 if not, 2 if the folder is no good, 130 after ^C; leaves no process and no file behind.
 */
const exits = { good: 0, lost: 1, unusable: 2, SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

const kept = things()
let isStopped = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal))
// Whoever looked on has gone: a terminal that was closed, a pipe into `head`.
process.stdout.on('error', () => stop('SIGHUP'))
process.stderr.on('error', () => stop('SIGHUP'))

const exit = await main(process.argv.slice(2), kept).catch(failed)
await kept.putAway()
if (!isStopped) process.exitCode = exit

/** npm passes on what the terminal sends to all: a second signal is no wish to leave things lying about. */
function stop(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void {
  if (isStopped) return
  isStopped = true
  void kept.putAway().finally(() => process.exit(exits[signal]))
}

async function main(args: readonly string[], things: Things): Promise<number> {
  const chosen = await chooseFiles(folderOf(args))
  const { files } = chosen
  const ledger = openLedger(files)
  const standing: Standing = new Map([
    [names.primary, ''],
    [names.secondary, ''],
  ])
  const begun = performance.now()
  const say = (text: string) => process.stdout.write(`${text}\n`)
  say(openingOf(chosen))
  say(
    sceneText(
      '1. Two clouds start on this machine, each a process of its own.',
      'One speaks S3 (the primary), one GCS (the secondary).',
    ),
  )
  const place = await things.keep(openPlace(), removePlace)
  const running = await things.keep(startClouds(place), clouds => clouds.stop())

  let proved: number | undefined
  const screen = openScreen(process.stdout, () => sceneOf(ledger, standing, proved))
  things.defer(async () => screen.end())
  const start = () => {
    const born = startWriter(join(place, 'store'), running.clouds, ({ type, provider, key }) =>
      ledger.noteAt(provider, type, key),
    )
    things.defer(() => born.end())
    return born
  }
  const played = await play({ ledger, primary: running.primary, start, say: screen.say, standing })

  screen.say(
    sceneText(
      '7. The proof.',
      'Each object is read from each cloud directly, past Holdfast, and compared',
      'with its file on disk: every byte, the content type, the metadata.',
    ),
  )
  proved = 0
  const { primary, secondary } = providersOf(running.clouds)
  const proofs = await Promise.all(
    [primary, secondary].map(provider =>
      prove(provider, ledger.acknowledged.values(), () => {
        proved = (proved ?? 0) + 1
      }),
    ),
  )
  screen.end()
  const outcome = { ledger, proofs, faults: played.faults, times: { ...played, totalMs: performance.now() - begun } }
  say(`\n${reportOf(outcome)}\n`)
  say(isGood(outcome) ? styled('green', 'Nothing was lost.') : styled('red', 'This is not as promised.'))
  return isGood(outcome) ? exits.good : exits.lost
}

function folderOf(args: readonly string[]): string | undefined {
  const [folder, ...more] = args
  if (more.length === 0 && folder?.startsWith('-') !== true) return folder === undefined ? undefined : resolve(folder)
  throw new HoldfastError('INVALID', 'name one folder, or none: npm run demo -- FOLDER', {
    field: 'folder',
    rule: 'type',
  })
}

function openingOf({ folder, files, bytes, left }: Chosen): string {
  const ours = basename(folder) === 'node_modules'
  const where = ours ? 'documents and images of the installed packages' : folder
  const rest = left === 0 ? '' : ours ? `, out of ${files.length + left}` : ` (${left} more are passed over)`
  return `${styled('bold', 'Holdfast: nothing that was acknowledged is lost.')}\n${files.length} files, ${sizeOf(bytes)}: ${where}${rest}.`
}

/** One line for what a person can settle; everything else is our own fault, and said in full. */
function failed(error: unknown): number {
  if (isStopped) return exits.lost
  const isFolder = error instanceof HoldfastError && error.code === 'INVALID'
  const text = isFolder ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)
  process.stderr.write(`demo: ${text}\n`)
  return isFolder ? exits.unusable : exits.lost
}
