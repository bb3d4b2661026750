import type { IncomingMessage } from 'node:http'
import type { Answer } from './answer.ts'
import type { RequestName } from './faults.ts'
import type { LocalRequest } from './request.ts'

/** What a service is, behind the HTTP that all of them share. */
export interface Protocol {
  /** What the request is about, from its head alone. Never throws: what it cannot tell it gives some name. */
  name(request: IncomingMessage): RequestName
  /** Answers a request, the service's own errors included. What it throws becomes a 500, unseen where the client is gone. */
  handle(request: LocalRequest): Promise<Answer>
  /** An error as the service renders it. Without a code: the one that the service uses with this status. */
  error(failure: Failure, request: Pick<LocalRequest, 'method' | 'url' | 'headers' | 'name'>): Answer
  /** When the last request is over. */
  close(): void
}

export interface Failure {
  readonly status: number
  readonly code: string | undefined
  readonly message: string | undefined
}
