import type { Middleware, Next, Placed, Related, Resolvable, Stack } from './stack.ts'

/**
 * The same stack, with one middleware more: the last of the initialize step, after all that the client and the command have there. What
 * comes behind it is resolved when it calls `next`, and not for an answer that needs none of it: that is most of what a command costs here.
 */
export function endingWith(client: Stack, last: Middleware): Resolvable {
  return {
    concat: command => ({
      resolve(handler, context) {
        const first = initializing(client, command)
        if (first === undefined) return whole(client, command, last).resolve(handler, context)
        let resolved: Next | undefined
        const rest: Next = async given => {
          resolved ??= without(client.concat(command), first).resolve(handler, context)
          return await resolved(given)
        }
        return first.reduceRight((next, middleware) => middleware(next, context), last(rest, context))
      },
    }),
  }
}

function whole(client: Stack, command: Stack, last: Middleware): Stack {
  const all = client.concat(command)
  all.add(last, { step: 'initialize', priority: 'low' })
  return all
}

function without(stack: Stack, middlewares: readonly Middleware[]): Stack {
  for (const middleware of middlewares) stack.remove(middleware)
  return stack
}

const priorities = ['high', 'normal', 'low']

/**
 * The middlewares of the initialize step, in the order of the SDK's own stack: by priority, then as they were added. `undefined` where that is not all
 * that decides it, or one cannot be taken out by itself: some stand beside another, one takes another's name or place, one function stands
 * in two places, or the stack prints what it resolves to.
 */
function initializing(client: Stack, command: Stack): readonly Middleware[] | undefined {
  if (client.identifyOnResolve?.() === true || command.identifyOnResolve?.() === true) return undefined
  const found = new Map<Middleware, number>()
  const others = new Set<Middleware>()
  const names = new Set<string>()
  const beside: string[] = []
  let isPlain = true
  const collector = {
    add(middleware: Middleware, { step = 'initialize', priority = 'normal', name, aliases }: Placed): void {
      if (step !== 'initialize') {
        others.add(middleware)
        return
      }
      const at = priorities.indexOf(priority)
      const isTaken = found.has(middleware) || (name !== undefined && names.has(name))
      if (at < 0 || isTaken || (aliases !== undefined && aliases.length > 0)) isPlain = false
      found.set(middleware, at)
      if (name !== undefined) names.add(name)
    },
    addRelativeTo(middleware: Middleware, { toMiddleware }: Related): void {
      others.add(middleware)
      beside.push(toMiddleware)
    },
  }
  client.applyToStack(collector)
  command.applyToStack(collector)
  const isApart = !beside.some(name => names.has(name)) && [...found.keys()].every(each => !others.has(each))
  if (!isPlain || !isApart) return undefined
  return [...found].toSorted(([, a], [, b]) => a - b).map(([middleware]) => middleware)
}
