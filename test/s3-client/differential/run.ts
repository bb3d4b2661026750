import * as sdk from '@aws-sdk/client-s3'
import { nextCall } from './calls.ts'
import { chanceOf } from './chance.ts'
import { differences, type Intended, intended, isPlain, outcomeOf, shown } from './compare.ts'
import { type Both, type Call, newWorld } from './world.ts'

export interface Run {
  readonly bucket: string
  readonly clients: Both<sdk.S3Client>
  readonly seed: number
  readonly calls: number
  /** Whether writes have storage classes, tags and the like. Default true. */
  readonly withFeatures?: boolean
  /** Whether writes and deletes have conditions. Default true. */
  readonly withConditions?: boolean
  /** What may differ besides. Default nothing. */
  readonly alsoIntended?: readonly Intended[]
  /** Between two calls; whether answers come from local disk or from a provider is a matter of this. */
  readonly between?: (chance: { percent(times: number): boolean }) => Promise<void>
}

/** As many as there are rows of fields. */
const commandsInAll = 16

/** What was found: how often each command was answered and refused, and every difference with the call that led to it. */
export interface Found {
  readonly counts: ReadonlyMap<string, number>
  readonly differences: readonly string[]
}

/** Makes the same calls with both clients, one after the other, and compares every answer. */
export async function runBoth({
  bucket,
  clients,
  seed,
  calls,
  alsoIntended = [],
  between,
  ...kind
}: Run): Promise<Found> {
  const chance = chanceOf(seed)
  const world = newWorld({
    bucket,
    chance,
    withFeatures: kind.withFeatures ?? true,
    withConditions: kind.withConditions ?? true,
  })
  const counts = new Map<string, number>()
  const found: string[] = []
  const answered = (): number => [...counts.keys()].filter(kind => kind.endsWith(' answered')).length
  for (let turn = 0; turn < calls || (calls >= 400 && turn < 2 * calls && answered() < commandsInAll); turn++) {
    const call = nextCall(world)
    const plain = await outcomeOf(() => clients.plain.send(commandOf(call, 'plain')))
    const wrapped = await outcomeOf(() => clients.wrapped.send(commandOf(call, 'wrapped', frozen)))
    const kind = `${call.command} ${plain.error === undefined ? 'answered' : String(plain.error['name'])}`
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
    for (const line of differences(call.command, { plain, wrapped }, call.input('plain'), [
      ...intended,
      ...alsoIntended,
    ])) {
      found.push(`call ${turn} ${call.command}: ${line}\n    ${shown(call.input('plain'))}`)
    }
    if (plain.output !== undefined && wrapped.output !== undefined) {
      call.learn?.({ plain: plain.output, wrapped: wrapped.output })
    }
    await between?.(chance)
  }
  return { counts, differences: found }
}

/** `as`: what becomes of the input before it is given to the command. */
function commandOf(
  { command, input }: Call,
  side: 'plain' | 'wrapped',
  as: (input: object) => object = same => same,
): sdk.PutObjectCommand {
  const Command = (sdk as unknown as Record<string, new (input: object) => sdk.PutObjectCommand>)[`${command}Command`]
  if (Command === undefined) throw new Error(`the SDK has no ${command}`)
  return new Command(as(input(side)))
}

/** What is the app's stays as it was: writing to it throws. Bodies are read, and stay as they are. */
function frozen<Value extends object>(value: Value): Value {
  for (const each of Object.values(value) as unknown[]) {
    if (Array.isArray(each) || (isPlain(each) && Object.getPrototypeOf(each) === Object.prototype)) frozen(each)
  }
  return Object.freeze(value)
}
