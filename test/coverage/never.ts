/** Places where an error is made that no test reaches, each with its reason. */
export interface Never {
  readonly path: string
  /** The beginning of its text, as far as it takes to tell it from others in the file. */
  readonly text: string
  readonly why: string
}

export const never: readonly Never[] = []
