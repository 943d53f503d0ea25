import type { LeaderSource } from '../../gateway/internal.ts'
import type { Engine, LeaderInfo } from '../../raft/index.ts'

/** The leader as the forwarder needs it: another node, this one while its lease holds, or none. */
export function createLeaderSource (engine: Engine, nodeId: string): LeaderSource {
  const target = (): LeaderInfo | null => {
    const leader = engine.leader()
    return leader === null || leader.url === '' ? null : leader
  }
  return {
    current: () => {
      if (engine.currentLeadership() !== null) return 'self'
      const leader = target()
      // A leader without its lease may not serve, and there is no other node to ask.
      return leader === null || leader.id === nodeId ? null : leader
    },
    self: () => {
      const leader = target()
      return leader?.id === nodeId ? leader : null
    },
    subscribe: (listener) => {
      engine.events.on('leadership', listener)
      engine.events.on('lease', listener)
      engine.events.on('leader', listener)
      return () => {
        engine.events.off('leadership', listener)
        engine.events.off('lease', listener)
        engine.events.off('leader', listener)
      }
    }
  }
}
