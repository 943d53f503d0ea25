/**
 * A broken invariant: the state can no longer be trusted, and the node must halt.
 */
class InvariantViolation extends Error {
  override readonly name = 'InvariantViolation'
}

/** Throws {@link InvariantViolation} unless the condition holds. Stays on in production. */
export function invariant (condition: boolean, rule: string): asserts condition {
  if (!condition) throw new InvariantViolation(rule)
}
