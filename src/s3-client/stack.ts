/** What a client sends. */
export interface Command {
  readonly input: object
  resolveMiddleware(stack: Stack, config: unknown, options: unknown): unknown
}

/** Of the SDK's middleware stacks, what is used here. */
export interface Stack {
  add(middleware: Middleware, options: { readonly step: 'initialize'; readonly priority: 'low' }): void
  clone(): Stack
  concat(other: unknown): Stack
}

export type Middleware = (next: Next, context: Readonly<Record<string, unknown>>) => Next
export type Next = (given: {
  readonly input: object
}) => Promise<{ readonly output: object; readonly response: unknown }>
