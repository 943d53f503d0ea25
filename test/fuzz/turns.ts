/** Waits for a condition, turn by turn of the event loop: what it waits for takes a few of them. */
export async function turnsUntil (check: () => boolean, timeoutMs = 5_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!check()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${check.toString()}`)
    await turn()
  }
}

/** The next turn of the event loop. */
export function turn (): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve) })
}
