/** The first order that was accepted after the kill through one node, or through the gateway. */
export interface NextOrder {
  readonly through: string
  readonly executedBy: string
  readonly afterMs: number
}

/** One run of `npm run demo`. Times of events count from the kill. */
export interface FailoverRun {
  readonly nodes: readonly string[]
  readonly killed: string
  readonly newLeader: string
  readonly clientsStartMs: number
  readonly clientsStopMs: number
  /** The earliest first. */
  readonly nextOrders: readonly NextOrder[]
  /** When the demo first saw that the new leader leads. */
  readonly leaderSeenMs: number
  readonly restartMs: number
  /** From the restart on. */
  readonly catchUpMs: number
  readonly acknowledged: number
  /** Of the new leader's outbox. */
  readonly token: string
}

/** Reads the output of a run in which everything held. Throws when a line that it needs is missing. */
export function parseRun (output: string): FailoverRun {
  /** The groups of the line of that form. */
  const find = (pattern: RegExp): readonly string[] => {
    const [, ...groups] = pattern.exec(output) ?? []
    if (groups.length === 0) throw new SyntaxError(`the output of the demo has no line like ${pattern.source}`)
    return groups
  }
  find(/^(Everything held), in [\d.]+ s\.$/m)
  const [killed = ''] = find(/ s {2}SIGKILL to the leader, (\w+)$/m)
  const [seenAt, newLeader = '', leaderSeen] = find(/^ *([\d.]+) s {2}(\w+) leads now, seen (\d+) ms after the kill/m)
  // The line of the kill is printed when it is over; the spans are counted from before it.
  const killedAtMs = Number(seenAt) * 1_000 - Number(leaderSeen)
  const sinceKill = (seconds = ''): number => Math.round(Number(seconds) * 1_000 - killedAtMs)
  const [stoppedAt, acknowledged] = find(/^ *([\d.]+) s {2}the clients stop; (\d+) orders were acknowledged$/m)
  const [token = ''] = find(/ s {2}the outbox sends on \w+ under token (\d+),/)
  return {
    nodes: [...output.matchAll(/ s {2}(\w+) +http:\S+ +(?:leader|follower)$/mg)].map(([, id = '']) => id),
    killed,
    newLeader,
    clientsStartMs: sinceKill(find(/^ *([\d.]+) s {2}clients keep posting/m)[0]),
    clientsStopMs: sinceKill(stoppedAt),
    nextOrders: nextOrdersIn(output),
    leaderSeenMs: Number(leaderSeen),
    restartMs: sinceKill(find(/^ *([\d.]+) s {2}\w+ is started again on its old data$/m)[0]),
    catchUpMs: Number(find(/ has caught up to entry \d+, (\d+) ms after its start$/m)[0]),
    acknowledged: Number(acknowledged),
    token
  }
}

function nextOrdersIn (output: string): readonly NextOrder[] {
  return [...output.matchAll(/ s {2}next order through (\w+): (\d+) ms after the kill, executed by (\w+)$/mg)]
    .map(([, through = '', after, executedBy = '']) => ({ through, executedBy, afterMs: Number(after) }))
    .sort((left, right) => left.afterMs - right.afterMs)
}
