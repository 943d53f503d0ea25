import { readFile } from 'node:fs/promises'

/** Linux counts processor time in ticks of a hundredth of a second, on every architecture. */
const microsPerTick = 10_000

/** Processor time that these processes have used so far, in microseconds; null where the system does not tell (/proc). */
export async function cpuMicrosOf (pids: readonly number[]): Promise<number | null> {
  try {
    const ticks = await Promise.all(pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'latin1')
      // proc(5): the name in parentheses may hold anything; state is field 3, utime 14 and stime 15.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return Number(fields[11]) + Number(fields[12])
    }))
    return ticks.reduce((sum, one) => sum + one, 0) * microsPerTick
  } catch {
    return null
  }
}
