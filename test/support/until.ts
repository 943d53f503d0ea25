/** Waits until the check returns something other than false, null or undefined; fails loudly at the deadline. */
export async function until<T> (
  what: string,
  check: () => T | Promise<T>,
  timeoutMs = 10_000
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = performance.now() + timeoutMs
  let lastError: unknown
  for (;;) {
    try {
      const result = await check()
      if (result !== false && result !== null && result !== undefined) return result as NonNullable<Exclude<T, false>>
    } catch (error) {
      lastError = error
    }
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: lastError })
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
