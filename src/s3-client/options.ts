/** Of `withHoldfast`. */
export interface WithHoldfastOptions {
  /**
   * Where objects that come in parts are put together. 'local' (default): on local disk, with every provider down too. 'provider': at the primary,
   * and taken in when they are complete; then parts that browsers send there by presigned URLs are of use.
   */
  readonly multipart?: 'local' | 'provider'
  /**
   * Of ListObjects and ListObjectsV2 while no provider can list. 'local' (default): what is on local disk and not yet on every provider, as if it were
   * all; the store has an event `partial`. Where that is nothing: ServiceUnavailable. 'fail': ServiceUnavailable, for code that deletes
   * what it does not find listed.
   */
  readonly listWhenDown?: 'local' | 'fail'
  /** Names of input fields (`RequestPayer`, `ACL`, …) that may be gone without where the providers cannot keep them. Default: none. */
  readonly relax?: readonly string[]
}
