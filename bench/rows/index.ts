import type { Row } from '../contract.ts'
import { smallPuts } from './small-puts.ts'

/** Every row, by its id in docs/performance.md. */
export const rows: readonly Row[] = [smallPuts]
