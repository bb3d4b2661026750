// Run in a process of its own by startLocalS3({ process: 'own' }).
import { serveParent } from '../spawn.ts'
import { startLocalS3 } from './index.ts'

serveParent(startLocalS3)
