/**
 * What the test kit and the command line share with the plugin beyond its public face. No part of the package's
 * promise.
 * @module
 */
export { environmentKey } from './environment.ts'
export type { NodeEnvironment } from './environment.ts'
export type { LockView } from './primitives/remote-locks.ts'
export type { SessionView } from './primitives/remote-sessions.ts'
export type { OnceView, TaskView } from './primitives/remote-tasks.ts'
