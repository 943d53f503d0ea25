/**
 * Copies of an application for its own tests: in one process, without sockets and without real time.
 * @module
 */
export { createTestCluster } from './test-cluster.ts'
export type { TestCluster, TestClusterOptions, VirtualWait } from './test-cluster.ts'
export type { CopySetup } from './test-copy.ts'
