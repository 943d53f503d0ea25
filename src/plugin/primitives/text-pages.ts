/** One page of things that have a name, in the order of their names. */
interface TextPage<T> {
  readonly page: readonly T[]
  /** `after` of the following page; null behind the last one. */
  readonly next: string | null
}

/** Those behind `after`, at most `limit`. `textOf` gives each a text of its own, which orders them. */
export function pageOf<T> (
  all: Iterable<T>,
  textOf: (one: T) => string,
  { after = '', limit }: { readonly after?: string | undefined, readonly limit: number }
): TextPage<T> {
  const behind = Array.from(all, (one) => ({ one, text: textOf(one) }))
    .filter(({ text }) => text > after)
    .sort((left, right) => left.text < right.text ? -1 : 1)
  const page = behind.slice(0, limit)
  return { page: page.map(({ one }) => one), next: behind.length > limit ? page.at(-1)?.text ?? null : null }
}
