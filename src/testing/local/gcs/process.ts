import { serveParent } from '../spawn.ts'
import { startLocalGcs } from './start.ts'

/** Run in a process of its own: serves what its parent says. */
serveParent(startLocalGcs)
