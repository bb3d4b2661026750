/** Of `withHoldfast`. */
export interface WithHoldfastOptions {
  /**
   * Where objects that come in parts are put together. 'local' (default): on local disk, with every provider down too. 'provider': at the primary,
   * and taken in when they are complete; then parts that browsers send there by presigned URLs are of use.
   */
  readonly multipart?: 'local' | 'provider'
  /** Names of input fields (`RequestPayer`, `ACL`, …) that may be gone without where the providers cannot keep them. Default: none. */
  readonly relax?: readonly string[]
}
