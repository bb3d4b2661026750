/**
 * A cloud on loopback, faithful enough for the official SDK, with faults on command. What it is told goes over a channel that needs no
 * shared memory, so that it may run in a process of its own and be killed and started again on the same data.
 */
export interface LocalCloud extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, without a path. */
  readonly endpoint: string
  readonly port: number
  /** Of the process that serves; this one's unless `process: 'own'`. */
  readonly pid: number
  /** What a client signs with. Any other is refused as the service would refuse it. */
  readonly credentials: LocalCredentials
  /** From now on requests that match are treated so; the first rule that matches and is not used up decides. Answers the rule's id. */
  fault(rule: FaultRule): Promise<string>
  /** Takes back one rule, or all. Requests that are being stalled go on. */
  heal(id?: string): Promise<void>
  /** What was asked since the last call with `reset`, oldest first, at most 100,000. */
  requests(options?: { reset?: boolean }): Promise<readonly SeenRequest[]>
  /** Ends it at once, open connections with it. Data in memory is lost, data on disk stays. */
  stop(): Promise<void>
}

/** What a client of a local cloud signs with. */
export interface LocalCredentials {
  /** S3: access key id. GCS: client e-mail. */
  readonly id: string
  /** S3: secret access key. GCS: private key, PEM. */
  readonly secret: string
}

/** Of `startLocalS3` and `startLocalGcs`. */
export interface LocalCloudOptions {
  /** Created at the start. */
  readonly buckets?: readonly string[]
  /** Default 0: any free one. Give it to come back at the same address. */
  readonly port?: number
  /** Keeps objects in this directory, found again at the next start. Default: in memory. */
  readonly directory?: string
  /** 'own': in a child process. Default 'here'. */
  readonly process?: 'here' | 'own'
  /** What clients have to sign with. Default: some of its own, see `LocalCloud.credentials`. */
  readonly credentials?: LocalCredentials
  /** Keeps only sizes and digests of bodies, answers reads with zeros: for measuring clients. Default false. */
  readonly discard?: boolean
}

/** Which requests are treated how. */
export interface FaultRule {
  /** All that are given must match. */
  readonly match?: {
    readonly method?: string
    /** The service's name of the call: 'PutObject', 'HeadObject', 'UploadPart' …; GCS: 'objects.insert', 'objects.get', 'media' … as the server documents. */
    readonly operation?: string
    readonly bucket?: string
    readonly key?: string
    readonly keyPrefix?: string
  }
  /** Lets this many matching requests pass first. Default 0. */
  readonly skip?: number
  /** Then treats this many. Default: all. */
  readonly times?: number
  readonly fault: Fault
}

/** One thing that goes wrong with a request. */
export type Fault =
  /** Answers with this status and the service's own error body; `code` as the service names it. */
  | {
      readonly kind: 'status'
      readonly status: number
      readonly code?: string
      readonly message?: string
      readonly retryAfterSeconds?: number
    }
  /** Closes the connection with RST: before reading (default), or after this many bytes of the request's or the answer's body. */
  | { readonly kind: 'reset'; readonly of?: 'request' | 'answer'; readonly afterBytes?: number }
  /** Ends the answer's connection (FIN) after this many bytes of its body, with the full length announced. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Never says another byte: at once, or after this many bytes of the request's or the answer's body. Answer headers are sent first where it is the answer. */
  | { readonly kind: 'stall'; readonly of?: 'request' | 'answer'; readonly afterBytes?: number }
  /** Sends the answer's body at this rate. */
  | { readonly kind: 'drip'; readonly bytesPerSecond: number }
  /** Does the request, answers after this time. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** Flips the lowest bit of this byte of the answer's body; headers as for the right one. */
  | { readonly kind: 'corrupt'; readonly atByte: number }
  /** Does the request, then closes the connection without an answer. */
  | { readonly kind: 'lose-answer' }
  /** Reads the request, closes the connection, and does the request this much later: a late request of another life. */
  | { readonly kind: 'late'; readonly ms: number }
  /** 200 with the service's error body. */
  | { readonly kind: 'error-in-200'; readonly code: string }
  /** 200 with a page of HTML and no header of the service: a captive portal. */
  | { readonly kind: 'html' }
  /** Sends elsewhere. */
  | { readonly kind: 'redirect'; readonly status: 301 | 302 | 307 | 308; readonly location: string }
  /** Listings without entries, from a bucket that has some. */
  | { readonly kind: 'empty-list' }
  /** S3: does the request as if it had come without these headers, by lower-case name: a service that takes conditions or digests and heeds none. */
  | { readonly kind: 'ignore-headers'; readonly names: readonly string[] }

/** One request that a local cloud was asked. */
export interface SeenRequest {
  /** When its head had come, ms since 1970. */
  readonly at: number
  readonly method: string
  /** As on the wire, undecoded. */
  readonly url: string
  readonly operation: string
  readonly bucket: string | undefined
  readonly key: string | undefined
  readonly status: number | undefined
  readonly fault: Fault['kind'] | undefined
  readonly headers: Readonly<Record<string, string>>
}
