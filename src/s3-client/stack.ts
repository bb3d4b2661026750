/** What a client sends. */
export interface Command {
  readonly input: object
  resolveMiddleware(stack: Resolvable, config: unknown, options: unknown): unknown
}

/** What a command needs of its client's stack. */
export interface Resolvable {
  concat(other: Stack): Pick<Stack, 'resolve'>
}

/** Of the SDK's middleware stacks, what is used here. */
export interface Stack extends Resolvable {
  add(middleware: Middleware, options: Placed): void
  addRelativeTo(middleware: Middleware, options: Related): void
  clone(): Stack
  concat(other: Stack): Stack
  remove(middleware: Middleware): boolean
  /** Adds what is on it to another. */
  applyToStack(other: Pick<Stack, 'add' | 'addRelativeTo'>): void
  /** Whether it prints what it resolves to. Not in all versions. */
  identifyOnResolve?(): boolean
  resolve(handler: unknown, context: Context): Next
}

/** A step of its own; `initialize` where none is said. */
export interface Placed {
  readonly step?: string
  readonly priority?: string
  readonly name?: string
  readonly aliases?: readonly string[]
}

/** Before or after another, in that one's step. */
export interface Related extends Omit<Placed, 'step' | 'priority'> {
  readonly toMiddleware: string
}

export type Context = Readonly<Record<string, unknown>>
export type Middleware = (next: Next, context: Context) => Next
export type Next = (given: {
  readonly input: object
}) => Promise<{ readonly output: object; readonly response: unknown }>
