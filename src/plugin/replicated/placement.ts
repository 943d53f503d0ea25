import { textHash } from './text-hash.ts'

/** A process that can run the workers of a task. */
export interface Candidate {
  /** The session that it ends with. */
  readonly session: number
  readonly node: string
  /** It has the workers from 0 up to this number, which is not one of them. */
  readonly workers: number
}

/**
 * The session that each worker of a task belongs to, 0 for none, after a change of the candidates. `before` is where
 * they were.
 *
 * A task of one worker is where its weights say: rendezvous hashing (Thaler and Ravishankar, 1998), so that it moves
 * only when its place is gone or the new candidate is the best one. Workers of a larger task are as many on each
 * candidate, give or take one. They stay where they are as long as that holds, and go to the best candidate with room
 * otherwise.
 */
export function placeWorkers (
  name: string,
  candidates: readonly Candidate[],
  before: readonly number[]
): readonly number[] {
  const count = candidates.reduce((most, { workers }) => Math.max(most, workers), 0)
  const places = new Array<number>(count).fill(0)
  const rooms = new Rooms(count, candidates)
  const bySession = new Map(candidates.map((candidate) => [candidate.session, candidate]))
  for (let worker = 0; worker < count; worker++) {
    const current = count === 1 ? undefined : bySession.get(before[worker] ?? 0)
    if (current === undefined || current.workers <= worker || !rooms.isFree(current)) continue
    places[worker] = rooms.take(current)
  }
  for (let worker = 0; worker < count; worker++) {
    if (places[worker] !== 0) continue
    const able = candidates.filter(({ workers }) => workers > worker)
    const free = able.filter((candidate) => rooms.isFree(candidate))
    // Copies of a deploy that know fewer workers than others leave some of them with too many.
    const best = bestFor(`${name}#${worker}`, free.length > 0 ? free : able)
    if (best !== undefined) places[worker] = rooms.take(best)
  }
  return places
}

/** How many workers each candidate has: an equal share, and one more on as many as it takes. */
class Rooms {
  readonly #share: number
  readonly #loads = new Map<number, number>()
  #more: number

  constructor (count: number, candidates: readonly Candidate[]) {
    this.#share = Math.floor(count / candidates.length)
    this.#more = count % candidates.length
  }

  isFree ({ session }: Candidate): boolean {
    const load = this.#loads.get(session) ?? 0
    return load < this.#share || (load === this.#share && this.#more > 0)
  }

  /** Gives the candidate one more; returns its session. */
  take ({ session }: Candidate): number {
    const load = this.#loads.get(session) ?? 0
    if (load >= this.#share) this.#more--
    this.#loads.set(session, load + 1)
    return session
  }
}

/** The candidate with the highest weight, by the id of its node, which outlives its processes. */
function bestFor (key: string, candidates: readonly Candidate[]): Candidate | undefined {
  let best: { readonly candidate: Candidate, readonly weight: number } | undefined
  for (const candidate of candidates) {
    const weight = weightOf(`${key}@${candidate.node}`)
    const isBetter = best === undefined || weight > best.weight ||
      // Two processes of one node: the later one.
      (weight === best.weight && candidate.session > best.candidate.session)
    if (isBetter) best = { candidate, weight }
  }
  return best?.candidate
}

/** With the finish of MurmurHash3, so that texts that are alike differ in all bits. */
function weightOf (text: string): number {
  let hash = textHash(text)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
