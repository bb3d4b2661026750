/** Runs `task` for 0, 1, … so many at a time, and begins none after so many milliseconds. Answers how long each took, milliseconds. */
export async function during(ms: number, atATime: number, task: (i: number) => Promise<unknown>): Promise<number[]> {
  const latencies: number[] = []
  const end = performance.now() + ms
  let next = 0
  const one = async () => {
    for (let started = performance.now(); started < end; started = performance.now()) {
      await task(next++)
      latencies.push(performance.now() - started)
    }
  }
  await Promise.all(Array.from({ length: atATime }, one))
  return latencies
}
