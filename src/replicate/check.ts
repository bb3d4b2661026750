import { markerKey } from '../core/key.ts'
import { HoldfastError } from '../core/errors.ts'
import { maxClockLeadMs } from '../core/version.ts'
import type { Clock, Random } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import { admit, canary, newIdentity } from './admit.ts'

/** What `check()` found at one provider. */
export interface CheckResult {
  readonly provider: string
  /** Whether everything that Holdfast needs works. */
  readonly ok: boolean
  /** Sentences for a person: what is wrong, and what to do. With `ok`, what the provider cannot do and what follows. */
  readonly findings: readonly string[]
}

/** What to do about a provider that does not work, by the reason of its error. */
const remedies: Readonly<Record<string, string>> = {
  CREDENTIALS: 'give it valid credentials, and see that they are not expired',
  ACCOUNT: 'settle the account with the provider, or replace the provider',
  BUCKET: 'create the bucket, or correct its name',
  REGION: 'correct region or endpoint',
  IDENTITY: 'find out whether this is the bucket that was meant',
  FORBIDDEN: 'grant put, get, head, delete and list, also under .holdfast/',
  TLS: 'correct the endpoint, or trust its certificate',
  CLOCK: "set this machine's clock",
  NETWORK: 'see that the endpoint is right and can be reached from here',
  TIMEOUT: 'see that the endpoint is right and can be reached from here',
  NOT_PROVIDER:
    'something else answers at this endpoint, such as a proxy or a captive portal: reach the service itself',
}

/**
 * Asks one provider for everything that Holdfast needs: credentials, bucket, identity, conditions, and the rights to put, read, list and
 * delete under `.holdfast/`. Leaves nothing behind but the identity marker. Rejects only with the signal's reason.
 */
export async function checkProvider(
  provider: Provider,
  remembered: Parameters<typeof admit>[1],
  clock: Clock,
  random: Random,
  signal: AbortSignal,
): Promise<CheckResult> {
  const findings: string[] = []
  const step = async (what: string, work: () => Promise<unknown>): Promise<boolean> => {
    try {
      await work()
      return true
    } catch (error) {
      signal.throwIfAborted()
      const fault = provider.classify(error)
      const remedy = remedies[fault.reason ?? '']
      findings.push(
        `${what}: ${fault.message}${fault.reason === undefined ? '' : ` (${fault.reason})`}${remedy === undefined ? '' : `; ${remedy}`}`,
      )
      return false
    }
  }
  const works =
    (await step('the bucket', async () => {
      const { serverTime } = await admit(provider, remembered, { clock, proposal: newIdentity(random) }, signal)
      const lead = serverTime === undefined ? 0 : clock.now() - serverTime
      if (Math.abs(lead) > maxClockLeadMs)
        throw new HoldfastError(
          'DENIED',
          `this machine's clock is ${Math.round(lead / 1000)} s ahead of the provider's`,
          { reason: 'CLOCK' },
        )
    })) &&
    (await step('putting, reading and deleting', () => canary(provider, random, signal))) &&
    (await step('listing', async () => {
      for await (const _ of provider.list({ prefix: '.holdfast/', delimiter: '', startAfter: '' }, signal)) break
    })) &&
    (await step('looking for delete markers', () => provider.head(markerKey(`check-${random.hex(8)}`), signal)))
  if (works) findings.push(...weaknesses(provider))
  return { provider: provider.name, ok: works, findings }
}

/** What the service cannot do, and what that costs: not wrong, but to be known. */
function weaknesses(provider: Provider): string[] {
  const { capabilities: can } = provider
  const found: string[] = []
  if (!can.createIfAbsent)
    found.push(
      "no create-only puts: `if: 'absent'` is UNSUPPORTED with it as the primary; overtaken writes are found by the second look",
    )
  if (!can.replaceIf)
    found.push(
      'no conditional replace: `if: { version }` is UNSUPPORTED with it as the primary; overtaken writes are found by the second look',
    )
  if (!can.deleteIf)
    found.push('no conditional delete: a delete looks at the object first, and the second look repeats it')
  if (can.attests.length === 0)
    found.push('it attests no digest: the second look reads bodies back, which costs their transfer')
  return found
}
