import type { IncomingHttpHeaders } from 'node:http'
import { conditionRefused, invalidArgument, refuse } from './refusal.ts'
import type { ObjectFacts } from './resource.ts'

/** What must hold of the object that is there now. Numbers as text, as they came. */
export interface Conditions {
  readonly generationMatch?: string
  readonly generationNotMatch?: string
  readonly metagenerationMatch?: string
  readonly metagenerationNotMatch?: string
}

const names = {
  generationMatch: 'GenerationMatch',
  generationNotMatch: 'GenerationNotMatch',
  metagenerationMatch: 'MetagenerationMatch',
  metagenerationNotMatch: 'MetagenerationNotMatch',
} as const

/** `ifGenerationMatch` and its like; of the source of a copy, `ifSourceGenerationMatch` and its like. */
export function queryConditions(query: URLSearchParams, before: 'if' | 'ifSource' = 'if'): Conditions {
  const found: Record<string, string> = {}
  for (const [name, tail] of Object.entries(names)) {
    const value = query.get(before + tail)
    if (value === null) continue
    if (!/^\d{1,20}$/.test(value)) refuse(invalidArgument(`Invalid value for: ${before}${tail}.`))
    found[name] = value
  }
  return found
}

/** `x-goog-if-generation-match` and its like. */
export function headerConditions(headers: IncomingHttpHeaders): Conditions {
  const found: Record<string, string> = {}
  for (const [name, header] of [
    ['generationMatch', 'x-goog-if-generation-match'],
    ['metagenerationMatch', 'x-goog-if-metageneration-match'],
  ] as const) {
    const value = headers[header]
    if (typeof value === 'string') found[name] = value
  }
  return found
}

/** Generation 0 stands for no object. In the turn that changes it, so that nothing comes between. */
export function demand(conditions: Conditions, facts: ObjectFacts | undefined, reads = false): void {
  const generation = facts?.generation ?? '0'
  const metageneration = facts === undefined ? undefined : String(facts.metageneration)
  const { generationMatch, generationNotMatch, metagenerationMatch, metagenerationNotMatch } = conditions
  if (generationMatch !== undefined && generationMatch !== generation) refuse(conditionRefused(false))
  if (metagenerationMatch !== undefined && metagenerationMatch !== metageneration) refuse(conditionRefused(false))
  if (generationNotMatch !== undefined && generationNotMatch === generation) refuse(conditionRefused(reads))
  if (metagenerationNotMatch !== undefined && metagenerationNotMatch === metageneration) refuse(conditionRefused(reads))
}
