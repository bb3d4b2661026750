import type { Clouds } from '../demo/clouds.ts'

/** What the app is started with. */
export interface Wanted {
  readonly seed: number
  readonly perSecond: number
  readonly directory: string
  readonly clouds: Clouds
}

/** What it is asked for later: to come to rest and look at everything, to close its store and end. */
export type Asked = 'rest' | 'end'

/** What the app says. */
export type Told =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'now'
      readonly done: Done
      /** Writes that not every cloud has, that wait for their second look, and repairs. */
      readonly backlog: number
      readonly held: number
      readonly repairs: number
      readonly faults: readonly string[]
    }
  | { readonly kind: 'rested'; readonly keys: number; readonly faults: readonly string[] }
  | { readonly kind: 'failed'; readonly message: string }

/** Calls that ended well, and those that nobody could answer. */
export interface Done {
  readonly puts: number
  readonly gets: number
  readonly deletes: number
  readonly lists: number
  readonly refused: number
}
