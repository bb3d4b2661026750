import { all, everything, putOf, whole } from '../providers/s3-recorder.ts'
import type { Canaries } from './canary.ts'
import { services } from './services.ts'

/**
 * A small process that meets a service whose answers do not end. Arguments: which service, where it is. Says each call that ended, and how, as
 * lines of JSON; then the most memory that it ever had.
 */
const [name = '', endpoint = ''] = process.argv.slice(2)
const service = services.find(each => each.name === name)
if (service === undefined) throw new Error(`no service is called ${name}`)
const secrets: Canaries = {
  accessKeyId: 'id',
  secretAccessKey: 'secret',
  sessionToken: 'token',
  bearer: 'bearer',
  privateKey: '',
  accountKey: 'a2V5',
  sas: 'sas',
  entra: 'entra',
}
const signal = AbortSignal.timeout(60_000)
const say = (value: object) => process.stdout.write(`${JSON.stringify(value)}\n`)
const calls = (
  provider: Awaited<ReturnType<typeof service.provider>>,
): Readonly<Record<string, () => Promise<unknown>>> => ({
  list: () => all(provider.list(everything, signal)),
  head: () => provider.head('k', signal),
  get: async () => await (await provider.get(whole('k'), signal))?.close(),
  put: () => provider.put(putOf('k', 'body'), signal),
})
for (const kind of ['200', '403', 'gzip 200', 'headers', 'head']) {
  const provider = await service.provider(endpoint, secrets)
  for (const [call, run] of Object.entries(calls(provider))) {
    await fetch(`${endpoint}/now?${new URLSearchParams({ kind, call }).toString()}`, { method: 'POST' }).then(answer =>
      answer.text(),
    )
    const ended = await run().then(
      () => 'an answer',
      (error: { code?: string; reason?: string }) => `${error.code} ${error.reason}`,
    )
    say({ kind, call, ended })
  }
}
say({ mostMiB: Math.round(process.resourceUsage().maxRSS / 1024) })
