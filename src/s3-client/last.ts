import type { Middleware, Next, Placed, Related, Resolvable, Stack } from './stack.ts'

/**
 * The same stack, with one middleware more: the last of the initialize step, after all that the client and the command have there, in the order
 * in which the SDK's own stack has them. What comes behind it is resolved when it calls `next`, and not for an answer that needs none
 * of it: that is most of what a command costs here.
 */
export function endingWith(client: Stack, last: Middleware): Resolvable {
  return {
    concat: command => ({
      resolve(handler, context) {
        const split = splitAtInitialize(client, command)
        if (split === undefined) return whole(client, command, last).resolve(handler, context)
        const { head, rest } = split
        head.add(last, { step: 'initialize', priority: 'low' })
        return head.resolve(
          later(() => rest().resolve(handler, context)),
          context,
        )
      },
    }),
  }
}

function later(resolve: () => Next): Next {
  let resolved: Next | undefined
  return async given => {
    resolved ??= resolve()
    return await resolved(given)
  }
}

function whole(client: Stack, command: Stack, last: Middleware): Stack {
  const all = client.concat(command)
  all.add(last, { step: 'initialize', priority: 'low' })
  return all
}

interface Entries {
  readonly placed: readonly (readonly [Middleware, Placed])[]
  readonly related: readonly (readonly [Middleware, Related])[]
}

/** `undefined` where they cannot be told apart: one function in several places, or a stack that prints what it resolves to. */
function splitAtInitialize(client: Stack, command: Stack): { head: Stack; rest: () => Stack } | undefined {
  if (client.identifyOnResolve?.() === true || command.identifyOnResolve?.() === true) return undefined
  const { placed, related } = entriesOf([client, command])
  const first = placed.filter(([, { step = 'initialize' }]) => step === 'initialize')
  const beside = relatives(first, related)
  const own = new Set([...first, ...beside].map(([middleware]) => middleware))
  const others = placed.length + related.length - first.length - beside.length
  const isApart = [...placed, ...related].filter(([middleware]) => !own.has(middleware)).length === others
  if (!isApart) return undefined

  const head = emptied(client)
  for (const [middleware, options] of first) head.add(middleware, options)
  for (const [middleware, options] of beside) head.addRelativeTo(middleware, options)
  return {
    head,
    rest() {
      const all = client.concat(command)
      for (const middleware of own) all.remove(middleware)
      return all
    },
  }
}

function entriesOf(stacks: readonly Stack[]): Entries {
  const placed: [Middleware, Placed][] = []
  const related: [Middleware, Related][] = []
  const collector = {
    add: (middleware: Middleware, options: Placed) => void placed.push([middleware, options]),
    addRelativeTo: (middleware: Middleware, options: Related) => void related.push([middleware, options]),
  }
  for (const stack of stacks) stack.applyToStack(collector)
  return { placed, related }
}

/** Those that stand beside one of these, or beside one that does. */
function relatives(
  first: readonly (readonly [Middleware, Placed])[],
  related: Entries['related'],
): readonly (readonly [Middleware, Related])[] {
  const names = new Set(first.flatMap(([, options]) => namesOf(options)))
  const found = new Set<readonly [Middleware, Related]>()
  for (let before = -1; before < found.size; ) {
    before = found.size
    for (const each of related) {
      if (found.has(each) || !names.has(each[1].toMiddleware)) continue
      found.add(each)
      for (const name of namesOf(each[1])) names.add(name)
    }
  }
  return related.filter(each => found.has(each))
}

function namesOf({ name, aliases = [] }: Placed): readonly string[] {
  return name === undefined ? aliases : [name, ...aliases]
}

const empty = new WeakMap<Stack, Stack>()

/** A stack of the same make with nothing on it. The SDK's constructor of stacks is not among what it exports. */
function emptied(stack: Stack): Stack {
  let bare = empty.get(stack)
  if (bare === undefined) {
    bare = stack.clone()
    const { placed, related } = entriesOf([bare])
    for (const [middleware] of [...placed, ...related]) bare.remove(middleware)
    empty.set(stack, bare)
  }
  return bare.clone()
}
