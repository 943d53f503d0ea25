import { startDeadlines } from './deadlines.ts'
import { Users } from './users.ts'

/** The applications on the nodes and what a leader does for them: with production code, or a broken copy of it. */
export interface PrimitivesCode {
  readonly startDeadlines: typeof startDeadlines
  readonly Users: new (...parameters: ConstructorParameters<typeof Users>) => Users
}

export const productionPrimitives: PrimitivesCode = { startDeadlines, Users }
