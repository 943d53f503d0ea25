import { isDeepStrictEqual } from 'node:util'
import type { MapChange } from '../../../src/plugin/primitives/map-watch.ts'
import { watchMap } from '../../../src/plugin/primitives/map-watch.ts'
import { CompactedError } from '../../../src/raft/errors.ts'
import { BrokenPromise } from '../promise.ts'
import type { MapTruth, TrueChange } from './map-truth.ts'
import type { UserEnvironment } from './user.ts'

/**
 * A user on each node that watches a map, over restarts of the node: it sees every change behind the revision at which
 * it began, in order, once; or is told behind which revision to begin anew.
 */
export class WatchUsers {
  readonly #map: string
  readonly #truth: MapTruth
  readonly #seen = new Map<string, number>()
  /** Changes that were seen. */
  changes = 0

  constructor (map: string, truth: MapTruth) {
    this.#map = map
    this.#truth = truth
  }

  start (environment: UserEnvironment): void {
    const { process, failed } = environment
    this.#follow(environment).catch((error: unknown) => {
      if (process.isAlive) failed(error instanceof Error ? error : new Error(String(error)))
    })
  }

  /** Whether the user of a node has seen all changes up to a revision. */
  hasSeen (id: string, revision: number): boolean {
    const seen = this.#seen.get(id) ?? 0
    return this.#truth.behind(seen).every((change) => change.revision > revision)
  }

  async #follow (environment: UserEnvironment): Promise<void> {
    const { context, process } = environment
    while (process.isAlive) {
      // A node that lost its log and what it had seen with it begins at the beginning.
      const watch = watchMap(context, this.#map, { afterRevision: this.#seen.get(process.id) ?? 0 })
      try {
        for await (const change of watch) this.#take(process.id, change)
      } catch (error) {
        if (!(error instanceof CompactedError) || !('revision' in error)) throw error
        this.#seen.set(process.id, Number(error.revision))
      }
    }
  }

  #take (id: string, { revision, events }: MapChange<unknown>): void {
    const seen = this.#seen.get(id) ?? 0
    const [next] = this.#truth.behind(seen)
    const given = events.map((event): TrueChange => ({
      revision,
      key: event.key,
      value: event.kind === 'set' ? event.value : undefined
    }))
    if (next === undefined || !isDeepStrictEqual(given, [next])) {
      throw new BrokenPromise(
        'a watch misses and repeats nothing',
        `${id} is shown ${JSON.stringify(given)} behind ${seen}, where ${JSON.stringify(next)} comes`
      )
    }
    this.#seen.set(id, revision)
    this.changes++
  }
}
