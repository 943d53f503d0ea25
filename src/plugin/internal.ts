/**
 * What the test kit shares with the plugin beyond its public face. No part of the package's promise.
 * @module
 */
export { environmentKey } from './environment.ts'
export type { NodeEnvironment } from './environment.ts'
