import type { Mutant } from './mutant.ts'
import { ofJournal } from './of/journal.ts'
import { ofProviders } from './of/providers.ts'
import { ofRead } from './of/read.ts'
import { ofReconcile } from './of/reconcile.ts'
import { ofReplicate } from './of/replicate.ts'
import { ofStage } from './of/stage.ts'
import { ofStore } from './of/store.ts'

/** All of them, from local disk to the clouds and back. */
export const mutants: readonly Mutant[] = [
  ...ofStage,
  ...ofJournal,
  ...ofReplicate,
  ...ofRead,
  ...ofReconcile,
  ...ofProviders,
  ...ofStore,
]
