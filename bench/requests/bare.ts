import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { startAnswers } from '../servers/start.ts'
import type { Calls } from './clouds.ts'

/** The floor: a request through node:http with nothing that a cloud asks for, no signature, no digest, no headers of an object. */
export async function startBare(body: Uint8Array): Promise<{ readonly calls: Calls; stop(): Promise<void> }> {
  const server = await startAnswers('all')
  const agent = new Agent({ keepAlive: true })
  const send = async (method: string, key: string, sent?: Uint8Array): Promise<void> => {
    const asked = request(`${server.endpoint}/bench/${key}`, { method, agent })
    asked.end(sent)
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    answer.resume()
    await once(answer, 'end')
    if ((answer.statusCode ?? 0) >= 300) throw new Error(`${method} was answered ${answer.statusCode}`)
  }
  // What a get or a head asks for, whatever the other ways have deleted at their own servers.
  await send('PUT', 'kept', body)
  return {
    calls: {
      put: key => send('PUT', key, body),
      get: () => send('GET', 'kept'),
      head: () => send('HEAD', 'kept'),
      delete: key => send('DELETE', key),
    },
    async stop() {
      agent.destroy()
      await server.stop()
    },
  }
}
