/** A change to the source that makes a promise false. Some test has to fail for it. */
export interface Mutant {
  /** What is wrong then, in a few words; each has another. */
  readonly name: string
  /** The invariants that it breaks: `I5`, `I1, I5`. `-` where the promise is in the docs alone. */
  readonly breaks: string
  /** From the root of the project. */
  readonly file: string
  /** Text that is in the file exactly once, and what takes its place. */
  readonly find: string
  readonly becomes: string
  /** The file that has to fail. One that is called `….long.test.ts` is run by vitest.long.config.ts. */
  readonly test: string
  /** A piece of the names of the tests in it that are run. All of them, where it is left out. */
  readonly only?: string
}
