import type { ConfigurationChange } from './configuration.ts'
import { totalBytes } from './entry-size.ts'
import { countRound, startRound } from './heartbeat.ts'
import { invariant } from './invariant.ts'
import { configure, continueChange, isRemovedLeader } from './membership.ts'
import type { AppendRequest, AppendResponse, HeartbeatResponse } from './message.ts'
import type { ConfigureResult, ProposeResult } from './output.ts'
import type { Progress } from './progress.ts'
import { quorumValue } from './quorum.ts'
import { serveReads, startWaitingReads } from './reads.ts'
import type { CoreState, LeaderState } from './state.ts'
import { handOverWhenCaughtUp, leaveLeadership } from './transfer.ts'
import { acknowledgeLeader, appendCommand, becomeLeader } from './transitions.ts'
import type { Index, NodeId } from './types.ts'
import { asIndex, asTerm } from './types.ts'

function inFlightLimits (state: CoreState) {
  return {
    maxAppends: state.config.limits.maxInFlightAppends,
    maxBytes: state.config.limits.maxInFlightBytes
  }
}

/**
 * Sends one peer the entries that it lacks, as far as its window allows. With no entry to send, `evenIfEmpty` still
 * sends the commit index.
 */
function replicateTo (state: CoreState, progress: Progress, peer: NodeId, evenIfEmpty: boolean): void {
  const { limits } = state.config
  let mayBeEmpty = evenIfEmpty
  while (progress.canSend(inFlightLimits(state))) {
    if (progress.nextIndex <= state.log.base.index) {
      // A peer out of reach is sent no snapshot. Its next heartbeat response calls this function again.
      if (progress.recentlyActive) state.wantSnapshot(peer, progress)
      return
    }
    const entries = state.log.slice(progress.nextIndex, limits.maxEntriesPerAppend, limits.maxBytesPerAppend)
    if (entries.length === 0 && !mayBeEmpty) return
    mayBeEmpty = false
    const prevIndex = asIndex(progress.nextIndex - 1)
    const prevTerm = state.log.termAt(prevIndex)
    invariant(prevTerm !== undefined, 'the next index lies at most one past the end of the log')
    state.send({ kind: 'append-request', to: peer, prevIndex, prevTerm, entries, commit: state.log.commitIndex })
    progress.sent(asIndex(prevIndex + entries.length), totalBytes(entries))
  }
}

function replicateToAll (state: CoreState, leader: LeaderState, evenIfEmpty: boolean): void {
  for (const [peer, progress] of leader.progress) replicateTo(state, progress, peer, evenIfEmpty)
}

/**
 * Moves the commit index: the highest index that a quorum holds durably, if its entry is of this term (paper sections
 * 5.3 and 5.4.2). The leader itself counts only as far as its own disk has confirmed.
 */
function advanceCommit (state: CoreState, leader: LeaderState): boolean {
  const reached = quorumValue(state.quorum, (id) =>
    id === state.config.id ? state.log.stableIndex : leader.progress.get(id)?.matchIndex ?? 0)
  const before = state.log.commitIndex
  if (reached <= before || state.log.termAt(asIndex(reached)) !== state.term) return false
  state.log.commitTo(asIndex(reached))
  leader.uncommittedBytes -= totalBytes(state.log.range(before, asIndex(reached)))
  startWaitingReads(state, leader)
  return true
}

/** The candidate has won: it becomes leader, starts a heartbeat round, and replicates the no-op. */
export function lead (state: CoreState): void {
  const leader = becomeLeader(state)
  if (startRound(state, leader)) serveReads(state, leader)
  replicateToAll(state, leader, true)
}

/**
 * Entries were committed: continues a change of the configuration, sends the commit index to all peers, and steps down
 * if this leader is no voter any more.
 */
function afterCommit (state: CoreState, leader: LeaderState): void {
  continueChange(state, leader)
  replicateToAll(state, leader, true)
  if (isRemovedLeader(state)) leaveLeadership(state, leader)
}

/** This node's disk confirmed entries: they count towards commits now. */
export function countOwnDisk (state: CoreState, leader: LeaderState): void {
  if (advanceCommit(state, leader)) afterCommit(state, leader)
}

/** Changes the configuration, if that is allowed now, and replicates the entry. */
export function changeConfiguration (
  state: CoreState, changes: readonly ConfigurationChange[], expectedIndex: number | null): ConfigureResult {
  const result = configure(state, changes, expectedIndex)
  if (result.kind === 'appended' && state.role.kind === 'leader') replicateToAll(state, state.role, false)
  return result
}

/** Appends commands to the leader's log and sends them on (paper section 5.3). */
export function propose (state: CoreState, commands: readonly Uint8Array[]): ProposeResult {
  const { role } = state
  if (role.kind !== 'leader') return { kind: 'refused', reason: 'not-leader' }
  if (role.transfer !== null) return { kind: 'refused', reason: 'transferring' }
  const bytes = commands.reduce((total, command) => total + command.byteLength, 0)
  // A single command larger than the whole allowance still passes when nothing else is pending.
  if (role.uncommittedBytes > 0 && role.uncommittedBytes + bytes > state.config.limits.maxUncommittedBytes) {
    return { kind: 'refused', reason: 'busy' }
  }
  const firstIndex = asIndex(state.log.lastIndex + 1)
  for (const command of commands) appendCommand(state, command)
  role.uncommittedBytes += bytes
  replicateToAll(state, role, false)
  return { kind: 'appended', term: state.term, firstIndex, count: commands.length }
}

/** AppendEntries, receiver side (paper figure 2). */
export function handleAppendRequest (state: CoreState, message: AppendRequest): void {
  acknowledgeLeader(state, message.from)
  const { log } = state
  const { prevIndex, prevTerm, entries } = message
  if (!log.matches(prevIndex, prevTerm)) {
    const hintIndex = log.lastIndexWithTermAtMost(prevIndex, prevTerm)
    const hintTerm = log.termAt(hintIndex) ?? asTerm(0)
    state.send({
      kind: 'append-response',
      to: message.from,
      prevIndex,
      result: { kind: 'rejected', hintIndex, hintTerm }
    })
    return
  }
  const { lastIndex, lastTerm } = log
  const replacedFrom = log.merge(entries)
  if (log.lastIndex !== lastIndex || log.lastTerm !== lastTerm) state.logTime.received(log.lastTimeMs, state.now)
  if (replacedFrom !== null) state.rollBackConfigurations(replacedFrom)
  state.takeConfigurations(entries)
  const matchIndex = asIndex(Math.max(log.base.index, prevIndex + entries.length))
  // Commits no further than this request has proven the logs to agree: entries behind that may differ.
  log.commitTo(asIndex(Math.min(message.commit, matchIndex)))
  state.sendDurably({ kind: 'append-response', to: message.from, prevIndex, result: { kind: 'accepted', matchIndex } })
}

export function handleAppendResponse (state: CoreState, leader: LeaderState, message: AppendResponse): void {
  const progress = leader.progress.get(message.from)
  // The peer was removed meanwhile: its answers do not count.
  if (progress === undefined) return
  progress.recentlyActive = true
  const { result } = message
  if (result.kind === 'rejected') {
    const agreedIndex = state.log.lastIndexWithTermAtMost(result.hintIndex, result.hintTerm)
    if (progress.rejected(message.prevIndex, agreedIndex)) replicateTo(state, progress, message.from, true)
    return
  }
  if (progress.acked(message.prevIndex, result.matchIndex) && advanceCommit(state, leader)) afterCommit(state, leader)
  else replicateTo(state, progress, message.from, false)
  // If the commit ended this leadership, another voter has already been told to take over.
  if (state.role === leader) handOverWhenCaughtUp(state, leader)
}

/** The peer has the snapshot through `index`, or the transfer failed (0). Probes the peer's log from there. */
export function snapshotEnded (state: CoreState, leader: LeaderState, peer: NodeId, index: Index): void {
  const progress = leader.progress.get(peer)
  if (progress?.state !== 'snapshot') return
  progress.snapshotEnded(index)
  // After a failure the next heartbeat response tries again, so failures do not repeat in a tight loop.
  if (index > 0) replicateTo(state, progress, peer, true)
}

/** The path to the peer works: counts the round, and restarts replication whose messages were lost. */
export function handleHeartbeatResponse (state: CoreState, leader: LeaderState, message: HeartbeatResponse): void {
  const progress = leader.progress.get(message.from)
  if (progress === undefined) return
  progress.recentlyActive = true
  progress.pathOpen(inFlightLimits(state))
  if (countRound(state, leader, progress, message)) serveReads(state, leader)
  // A probe is also sent when no entry is missing: until it is answered the peer counts as out of reach.
  if (progress.state === 'probe' || progress.matchIndex < state.log.lastIndex) {
    replicateTo(state, progress, message.from, true)
  }
}
