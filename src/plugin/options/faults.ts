import type { Fault } from '../../gateway/internal.ts'

/** All faults in one message. */
export function describeFaults (faults: readonly Fault[]): string {
  const lines = faults.map((fault) => fault.path === '' ? fault.message : `${fault.path} ${fault.message}`)
  return lines.length === 1 ? lines.join() : lines.map((line) => `\n  - ${line}`).join('')
}
