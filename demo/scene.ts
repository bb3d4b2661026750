import { names } from './clouds.ts'
import type { Ledger } from './ledger.ts'
import { partOf } from './report.ts'
import type { Bar, Scene } from './screen.ts'

/** In a word or two, by the name of the cloud: what status() says of it. */
export type Standing = Map<string, string>

/** What is on the screen at this moment. `proved`: objects that were compared so far, of both clouds. */
export function sceneOf(ledger: Ledger, standing: Standing, proved: number | undefined): Scene {
  const { files, bytes, acknowledged, acknowledgedBytes } = ledger
  const amount = (objects: number, of: number) => `${objects}/${files.length}, ${partOf(of, bytes)}`
  const short = (objects: number) => `${objects}/${files.length}`
  const part = (objects: number) => objects / files.length
  const cloud = (name: string): Bar => {
    const { stored, verified } = ledger.at(name)
    const state = standing.get(name) ?? ''
    return {
      label: name === names.primary ? `${name} (primary)` : `${name} (second)`,
      done: part(stored.objects),
      sure: part(verified.objects),
      text: amount(stored.objects, stored.bytes),
      short: short(stored.objects),
      state,
      style: state === 'down' ? 'red' : state === 'up' || state === '' ? 'green' : 'yellow',
    }
  }
  const puts: Bar = {
    label: 'acknowledged',
    done: part(acknowledged.size),
    sure: part(acknowledged.size),
    text: amount(acknowledged.size, acknowledgedBytes),
    short: short(acknowledged.size),
    state: '',
    style: 'cyan',
  }
  return { bars: [puts, cloud(names.primary), cloud(names.secondary)], note: noteOf(ledger, proved) }
}

function noteOf({ acknowledged, reads, failedPuts, failedReads }: Ledger, proved: number | undefined): string {
  if (proved !== undefined) return `compared: ${proved} of ${acknowledged.size * 2}`
  const answered = [...reads].map(([from, count]) => `${count} from ${from === 'local' ? 'local disk' : from}`)
  const failed = `${failedPuts.length + failedReads.length} failed`
  return `read back: ${answered.length === 0 ? 'none yet' : answered.join(', ')}; ${failed}`
}
