/** What `send` takes besides the command, as far as it means something here. */
export interface SendOptions {
  readonly abortSignal?: AbortSignal | OlderSignal
}

/** As older versions of the SDK have it. */
interface OlderSignal {
  readonly aborted: boolean
  onabort: ((event: never) => unknown) | null
}

/** The app's signal as Node's own. */
export function signalOf({ abortSignal: given }: SendOptions): AbortSignal | undefined {
  if (given === undefined || given === null || given instanceof AbortSignal) return given ?? undefined
  const own = new AbortController()
  const abort = (): void => own.abort('reason' in given ? given.reason : undefined)
  if (given.aborted) abort()
  else if ('addEventListener' in given && typeof given.addEventListener === 'function') {
    given.addEventListener('abort', abort, { once: true })
  } else given.onabort = abort
  return own.signal
}
