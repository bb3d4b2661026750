import { parseArgs } from 'node:util'
import { readFileSync, writeFileSync } from 'node:fs'
import type { Contender } from './contract.ts'
import { inTurn, manyAtATime, medianOf, ratioOf } from './measure.ts'
import { roundsOf } from './options.ts'
import { demandMarks, thisMachine, withRun } from './page.ts'
import { bodiesOf } from './paused.ts'
import { type Calls, type Cloud, requests, startAmazon, startGoogle, startMicrosoft } from './requests/clouds.ts'
import { startBare } from './requests/bare.ts'
import { table } from './words.ts'

/**
 * `npm run bench:requests -- [--rounds N] [--page FILE]`: what a request of 4 KiB costs this process, by our driver, by the SDK, and by node:http alone, for each cloud. What the server
 * does is not in it. Says it as a table, and puts it into a page.
 */

const marks = 'npm run bench:requests -- --page FILE'
const bytes = 4_096
const atATime = 16
/** Objects of a round, each put, read, asked for and deleted. */
const count = 1_000

const usage = 'npm run bench:requests -- [--rounds N] [--page FILE]'
const { rounds, page } = optionsOf()

const say = (text: string) => process.stdout.write(`${text}\n`)
const body = bodiesOf(bytes)(0)

const bare = await startBare(body)
const lines: string[][] = []
for (const start of [startAmazon, startGoogle, startMicrosoft]) {
  const cloud = await start(body)
  lines.push(...(await measure(cloud)))
  await cloud.stop()
}
await bare.stop()

const found = table(['cloud', 'request', 'SDK, µs', 'driver, µs', 'driver / SDK', 'bare node:http, µs'], lines)
say(`\n${found}`)
if (page !== undefined) {
  const { cpus, model, node } = thisMachine()
  const on = `Measured on ${new Date().toISOString().slice(0, 10)} on ${cpus} cores (${model ?? 'unknown'}), Node ${node.slice(1)}; medians of ${rounds} rounds.`
  writeFileSync(page, withRun(readFileSync(page, 'utf8'), page, `${on}\n\n${found}`, marks))
}

/** A line per kind of request. */
async function measure(cloud: Cloud): Promise<string[][]> {
  const all: string[][] = []
  for (const request of requests) {
    const ways = { SDK: cloud.sdk, driver: cloud.driver, bare: bare.calls }
    const contenders = Object.entries(ways).map(([way, calls]) => contender(way, calls, request, cloud))
    const samples = await inTurn(contenders, rounds, text => say(`${cloud.name} ${request}, ${text}`))
    const cpu = (way: string) => medianOf(samples.get(way) ?? []).cpuUsPerOp.toFixed(0)
    const ratio = ratioOf(samples, 'driver', 'SDK', ({ cpuUsPerOp }) => cpuUsPerOp).toFixed(2)
    all.push([request === requests[0] ? cloud.name : '', request, cpu('SDK'), cpu('driver'), ratio, cpu('bare')])
  }
  return all
}

/** All ways read and delete what the driver put: objects as Holdfast's are. */
function contender(name: string, calls: Calls, request: (typeof requests)[number], { driver }: Cloud): Contender {
  const keyOf = (i: number) => `photos/${i}.jpg`
  return {
    name,
    async before() {
      if (request !== 'put') await manyAtATime(count, atATime, i => driver.put(keyOf(i)))
    },
    round: async () => ({ ops: count, latenciesMs: await manyAtATime(count, atATime, i => calls[request](keyOf(i))) }),
  }
}

/** Ends with exit code 2 and one line where the words are not understood, before anything is measured. */
function optionsOf(): { readonly rounds: number; readonly page: string | undefined } {
  try {
    const { values } = parseArgs({ options: { rounds: { type: 'string' }, page: { type: 'string' } } })
    const wanted = roundsOf(values.rounds) ?? 5
    if (values.page !== undefined) demandMarks(readFileSync(values.page, 'utf8'), values.page, marks)
    return { rounds: wanted, page: values.page }
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}; usage: ${usage}\n`)
    process.exit(2)
  }
}
