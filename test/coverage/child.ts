import { takeCoverage } from 'node:v8'

/**
 * Preloaded into the processes that tests start, and their threads: many are killed, and say nothing of themselves then. Says it now and then, at first often.
 */
if (process.env['NODE_V8_COVERAGE'] !== undefined) say(200)

function say(afterMs: number): void {
  setTimeout(() => {
    takeCoverage()
    say(Math.min(afterMs * 2, 5_000))
  }, afterMs).unref()
}
