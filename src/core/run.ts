/**
 * Long work that tells how it goes: iterate it for the progress, or await it for the result. It begins when it is first awaited or iterated, once;
 * leaving the loop, like aborting its signal, ends it. Awaited after its end: the same result again.
 */
export interface Run<Progress, Result> extends AsyncIterable<Progress>, PromiseLike<Result> {}

/** A run out of a generator: what it yields is the progress, what it returns is the result. */
export function run<Progress, Result>(begin: () => AsyncGenerator<Progress, Result, undefined>): Run<Progress, Result> {
  const ended = Promise.withResolvers<Result>()
  // Whoever only iterates hears of a failure there.
  ended.promise.catch(() => {})
  let work: AsyncGenerator<Progress, Result, undefined> | undefined

  async function* watched(): AsyncGenerator<Progress, Result, undefined> {
    work ??= begin()
    let isOver = false
    try {
      let step = await work.next()
      while (step.done !== true) {
        yield step.value
        step = await work.next()
      }
      isOver = true
      ended.resolve(step.value)
      return step.value
    } catch (error) {
      isOver = true
      ended.reject(error)
      throw error
    } finally {
      if (!isOver) {
        await work.return(undefined as Result)
        ended.reject(new Error('the run was left before its end'))
      }
    }
  }

  let iterator: AsyncGenerator<Progress, Result, undefined> | undefined
  const begun = () => (iterator ??= watched())

  async function drain(): Promise<Result> {
    if (iterator === undefined) {
      const each = begun()
      try {
        while ((await each.next()).done !== true);
      } catch {
        // Told by `ended`.
      }
    }
    return ended.promise
  }

  return {
    [Symbol.asyncIterator]: begun,
    // oxlint-disable-next-line unicorn/no-thenable -- a run is awaited for its result
    then: (onResult, onError) => drain().then(onResult, onError),
  }
}
