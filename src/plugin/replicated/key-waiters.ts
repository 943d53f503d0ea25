/** Which keys of a map somebody follows: one, or all that start with a prefix. */
export type FollowedKeys = { readonly key: string } | { readonly prefix: string }

/** Whether a key is among them. */
export function isFollowed (keys: FollowedKeys, key: string): boolean {
  return 'key' in keys ? keys.key === key : key.startsWith(keys.prefix)
}

type Wake = () => void

/** By how much of a key is looked up, all of it for `Infinity`, and by that text. */
type WaitersOfMap = Map<number, Map<string, Set<Wake>>>

/**
 * Those who wait until a key that they follow changes. A change costs a look-up for each length of a prefix that
 * somebody follows, and a call for each of those whom it concerns; the others cost nothing.
 */
export class KeyWaiters {
  readonly #byMap = new Map<string, WaitersOfMap>()

  /** Calls `wake` at each change of such a key; it must not throw. The function returned ends that. */
  wait (map: string, keys: FollowedKeys, wake: Wake): () => void {
    const [length, text] = 'key' in keys ? [Infinity, keys.key] : [keys.prefix.length, keys.prefix]
    const lengths = getOrAdd(this.#byMap, map, (): WaitersOfMap => new Map())
    const texts = getOrAdd(lengths, length, () => new Map<string, Set<Wake>>())
    const wakes = getOrAdd(texts, text, () => new Set<Wake>())
    wakes.add(wake)
    return () => {
      wakes.delete(wake)
      if (wakes.size > 0 || texts.get(text) !== wakes) return
      texts.delete(text)
      if (texts.size === 0) lengths.delete(length)
      if (lengths.size === 0) this.#byMap.delete(map)
    }
  }

  /** A key has changed: wakes those who wait for it. */
  wake (map: string, key: string): void {
    const lengths = this.#byMap.get(map)
    if (lengths === undefined) return
    wakeAll([...lengths].flatMap(([length, texts]) => [...(texts.get(key.slice(0, length)) ?? [])]))
  }

  /** Wakes everybody. */
  wakeAll (): void {
    const texts = [...this.#byMap.values()].flatMap((lengths) => [...lengths.values()])
    wakeAll(texts.flatMap((wakesByText) => [...wakesByText.values()].flatMap((wakes) => [...wakes])))
  }
}

/** Those of one moment: who is woken may wait again at once. */
function wakeAll (wakes: readonly Wake[]): void {
  for (const wake of wakes) wake()
}

function getOrAdd<Key, Value> (map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
