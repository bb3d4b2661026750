import type { Row } from '../contract.ts'
import { dataPath } from './data-path.ts'
import { drain } from './drain.ts'
import { largePuts } from './large-puts.ts'
import { loop } from './loop.ts'
import { millionPending } from './million-pending.ts'
import { oneStream } from './one-stream.ts'
import { outage } from './outage.ts'
import { pendingGets } from './pending-gets.ts'
import { reads } from './reads.ts'
import { replicated } from './replicated.ts'
import { sdkPuts } from './sdk-puts.ts'
import { smallPuts } from './small-puts.ts'

/** Every row, by its id in docs/performance.md. */
export const rows: readonly Row[] = [
  smallPuts,
  sdkPuts,
  largePuts,
  oneStream,
  replicated,
  dataPath,
  reads,
  pendingGets,
  outage,
  loop,
  millionPending,
  drain,
]
