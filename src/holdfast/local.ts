import type { LocalBody, ReadDeps } from '../read/types.ts'
import type { Stage, StoredBody } from '../stage/stage.ts'

/** Bodies on local disk, as readers want them. */
export function localBodies(stage: Stage): Pick<ReadDeps, 'localSource' | 'localBytes'> {
  return {
    localSource: held => stage.source(storedAs(held), held.size, held),
    localBytes(held) {
      const stored = storedAs(held)
      if (stored.in === 'parts') return undefined
      if (stored.in !== 'row') return stage.bytes(stored, held.size)
      // SQLite made it for this look alone.
      const { buffer, byteOffset, byteLength } = stored.bytes
      return new Uint8Array(buffer, byteOffset, byteLength)
    },
  }
}

function storedAs({ body, tree }: LocalBody): StoredBody {
  if (body.in === 'none') return { in: 'row', bytes: new Uint8Array() }
  return body.in === 'file' && tree === 'cache' ? { in: 'cache', file: body.file } : body
}
