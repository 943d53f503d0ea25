import { readdir, readFile } from 'node:fs/promises'

/**
 * Processor time that these processes have used so far, in microseconds; null on systems without these figures. It is
 * the count of the scheduler (/proc/PID/task/TID/schedstat, first field, in nanoseconds), not the ticks in
 * /proc/PID/stat: those charge a whole tick to the process that runs at its end, and processes with timers wake then.
 */
export async function cpuMicrosOf (pids: readonly number[]): Promise<number | null> {
  try {
    const used = await Promise.all(pids.map(async (pid) => {
      const threads = await readdir(`/proc/${pid}/task`)
      return await Promise.all(
        threads.map(async (thread) =>
          Number((await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'latin1')).split(' ')[0])
        )
      )
    }))
    return used.flat().reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1_000
  } catch {
    return null
  }
}
