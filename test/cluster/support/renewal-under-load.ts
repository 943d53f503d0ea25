import { setTimeout as delay } from 'node:timers/promises'
import type { NotesCluster, NotesCopy } from './notes-cluster.ts'
import type { LoadFigures, NotesLoadOptions } from './notes-load.ts'
import { NotesLoad } from './notes-load.ts'

/** One change of what copies prove with who they are: a secret, or certificates. */
export interface RenewalStep {
  readonly name: string
  /** Resolves when every copy has taken it. */
  readonly make: () => Promise<void>
}

/** What clients and members saw of it. */
export interface RenewalResult extends LoadFigures {
  readonly steps: readonly string[]
  /** What each copy said before and after; the same when there was no election. */
  readonly leadersBefore: readonly string[]
  readonly leadersAfter: readonly string[]
}

/** Before the first step, and behind each: connections are used on, and sessions that should end have ended. */
const pauseMs = 500

/** Makes the steps one after the other, while notes are written and read through both followers, or all but one. */
export async function renewUnderLoad (
  cluster: NotesCluster,
  { except, ...load }: Omit<NotesLoadOptions, 'urls'> & { readonly except?: NotesCopy },
  steps: readonly RenewalStep[]
): Promise<RenewalResult> {
  const urls = (await cluster.followers()).filter((copy) => copy !== except).map(({ url }) => url)
  const leadersBefore = await leaders(cluster)
  const running = new NotesLoad({ ...load, urls })
  try {
    await delay(pauseMs)
    for (const step of steps) {
      await step.make()
      await delay(pauseMs)
    }
  } finally {
    await running.stop()
  }
  return {
    ...await running.stop(),
    steps: steps.map(({ name }) => name),
    leadersBefore,
    leadersAfter: await leaders(cluster)
  }
}

/** Who leads, and in which term, by what each copy says. */
async function leaders (cluster: NotesCluster): Promise<readonly string[]> {
  const { leaders: ids, terms } = await cluster.facts()
  return ids.map((id, at) => `${String(id)} in term ${terms[at]}`)
}
