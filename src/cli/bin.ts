#!/usr/bin/env node
import { exitCodes } from './failure.ts'
import { Interrupted } from './io.ts'
import { main } from './main.ts'

// The one file of src that prints, hears signals and ends the process: it is the program.

/** A terminal and npm both hand on one Ctrl-C: what comes so soon after the first is the same one. */
const sameSignalMs = 300

const stopping = new AbortController()
let askedAt = Number.POSITIVE_INFINITY
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    if (!stopping.signal.aborted) {
      askedAt = performance.now()
      stopping.abort(new Interrupted(name))
    } else if (performance.now() - askedAt > sameSignalMs) {
      process.exit(name === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated)
    }
  })
}
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', () => stopping.abort(new Interrupted('EPIPE')))
}
// Node warns of config files that say no module type, and of types that it takes out: nothing that the user of a command has done.
process.removeAllListeners('warning')

const io = {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  cwd: process.cwd(),
  env: process.env,
  signal: stopping.signal,
}

void main(process.argv.slice(2), io).then(code => {
  // What was written is on its way through a pipe: it gets there first. Connections that are kept for later are not waited for.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)))
})
