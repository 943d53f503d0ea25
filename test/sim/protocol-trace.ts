import type { Entry, Message, NodeId, Output, Role } from '../../src/raft/core/index.ts'
import type { CoreNode, Step } from '../support/core-node.ts'
import { entriesOf } from '../support/core-node.ts'

interface TracedState {
  readonly term: number
  readonly vote: NodeId | null
  readonly commit: number
  readonly role: Role
  readonly log: number
}

interface TracedMessage {
  readonly type: string
  readonly term: number
  readonly from: string
  readonly to: string
  readonly entries: number
  readonly logTerm: number
  readonly index: number
  readonly commit: number
  readonly vote: string
  readonly reject: boolean
  readonly rejectHint: number
}

const roleNames = {
  follower: 'StateFollower',
  'pre-candidate': 'StateFollower',
  candidate: 'StateCandidate',
  leader: 'StateLeader'
} as const

function describe (
  type: string,
  { term, from, to }: { readonly term: number; readonly from: string; readonly to: string },
  rest: Partial<TracedMessage> = {}
): TracedMessage {
  return {
    type,
    term,
    from,
    to,
    entries: 0,
    logTerm: 0,
    index: 0,
    commit: 0,
    vote: '0',
    reject: false,
    rejectHint: 0,
    ...rest
  }
}

/** The message in the terms of etcd's raft; null for what that trace does not show. */
function translate (message: Message): { readonly event: string, readonly msg: TracedMessage } | null {
  switch (message.kind) {
    case 'vote-request':
      return {
        event: 'RequestVoteRequest',
        msg: describe('MsgVote', message, { index: message.lastIndex, logTerm: message.lastTerm })
      }
    case 'vote-response':
      return { event: 'RequestVoteResponse', msg: describe('MsgVoteResp', message, { reject: !message.granted }) }
    case 'append-request':
      return {
        event: 'AppendEntriesRequest',
        msg: describe('MsgApp', message, {
          entries: message.entries.length,
          index: message.prevIndex,
          logTerm: message.prevTerm,
          commit: message.commit
        })
      }
    case 'append-response': {
      const { result } = message
      return {
        event: 'AppendEntriesResponse',
        msg:
          result.kind === 'accepted'
            ? describe('MsgAppResp', message, { index: result.matchIndex })
            : describe('MsgAppResp', message, {
              index: message.prevIndex,
              reject: true,
              rejectHint: result.hintIndex,
              logTerm: result.hintTerm
            })
      }
    }
    case 'heartbeat-request':
      return { event: 'AppendEntriesRequest', msg: describe('MsgHeartbeat', message, { commit: message.commit }) }
    case 'heartbeat-response':
      return { event: 'AppendEntriesResponse', msg: describe('MsgHeartbeatResp', message) }
    case 'pre-vote-request':
    case 'pre-vote-response':
    case 'read-request':
    case 'read-response':
    case 'timeout-now':
      return null
  }
}

/**
 * Writes what the cores do in the format of the trace that etcd's raft writes for its TLA+ specification: one JSON
 * object a line, in causal order. It needs static membership, and a disk that completes a write within the step that
 * asked for it, because a `Ready` says that everything before it is durable.
 */
export class ProtocolTrace {
  readonly #emit: (line: string) => void
  readonly #states = new Map<NodeId, TracedState>()
  /** What a node's own disk still has to confirm: its vote for itself, or entries of its own. */
  readonly #toItself = new Map<NodeId, TracedMessage>()
  readonly #unready = new Set<NodeId>()

  constructor (emit: (line: string) => void) {
    this.#emit = emit
  }

  started (node: CoreNode): void {
    const state: TracedState = {
      term: node.core.view.term,
      vote: node.disk.hardState.vote,
      commit: node.core.commitIndex,
      role: 'follower',
      log: node.core.lastIndex
    }
    this.#states.set(node.id, state)
    this.#toItself.delete(node.id)
    this.#unready.delete(node.id)
    this.#write(node, 'InitState', state)
    this.#write(node, 'BecomeFollower', state)
  }

  stepped (node: CoreNode, step: Step, output: Output): void {
    const before = this.#states.get(node.id)
    if (before === undefined) throw new Error(`${node.id} never started`)
    const { term, role } = node.core.view
    const after: TracedState = {
      term,
      role,
      vote: output.write?.hardState == null ? before.vote : output.write.hardState.vote,
      commit: node.core.commitIndex,
      log: node.core.lastIndex
    }
    this.#states.set(node.id, after)
    if (step.kind === 'persisted') this.#ready(node, before)
    this.#received(node, step, output, before)
    this.#changedRole(node, before, after)
    this.#appended(node, entriesOf(output), before, after)
    if (role === 'leader' && after.commit > before.commit) this.#write(node, 'Commit', after)
    for (const message of [...output.messages, ...output.deferred]) {
      const translated = translate(message)
      if (translated !== null) this.#write(node, `Send${translated.event}`, after, translated.msg)
    }
    if (output.write === null) this.#ready(node, after)
    else this.#unready.add(node.id)
  }

  #received (node: CoreNode, step: Step, output: Output, before: TracedState): void {
    if (step.kind === 'persisted') {
      const own = this.#toItself.get(node.id)
      this.#toItself.delete(node.id)
      if (own === undefined || own.term !== before.term) return
      this.#write(
        node,
        own.type === 'MsgVoteResp' ? 'ReceiveRequestVoteResponse' : 'ReceiveAppendEntriesResponse',
        before,
        own
      )
      return
    }
    if (step.kind !== 'receive' || step.violation !== null) return
    const { message } = step
    // A request for a vote that gets no answer was ignored: this node keeps quiet for the sake of its leader.
    const isIgnored =
      message.kind === 'vote-request' &&
      ![...output.messages, ...output.deferred].some(({ kind, to }) => kind === 'vote-response' && to === message.from)
    const translated = isIgnored ? null : translate(message)
    if (translated !== null) this.#write(node, `Receive${translated.event}`, before, translated.msg)
  }

  #changedRole (node: CoreNode, before: TracedState, after: TracedState): void {
    const changed: TracedState = {
      ...before,
      term: after.term,
      role: after.role,
      vote: after.term === before.term ? before.vote : null
    }
    if (after.role === 'leader' || after.role === 'candidate') {
      if (after.role === before.role && after.term === before.term) return
      if (after.role === 'leader') {
        this.#write(node, 'BecomeLeader', changed)
        return
      }
      this.#write(node, 'BecomeCandidate', { ...changed, vote: node.id })
      this.#sendToItself(
        node,
        'SendRequestVoteResponse',
        after,
        describe('MsgVoteResp', { term: after.term, from: node.id, to: node.id })
      )
      return
    }
    if (after.term > before.term || before.role === 'leader' || before.role === 'candidate') {
      this.#write(node, 'BecomeFollower', changed)
    }
  }

  #appended (node: CoreNode, entries: readonly Entry[], before: TracedState, after: TracedState): void {
    if (after.role !== 'leader' || entries.length === 0) return
    for (const { index } of entries) this.#write(node, 'Replicate', { ...after, commit: before.commit, log: index })
    this.#sendToItself(
      node,
      'SendAppendEntriesResponse',
      { ...after, commit: before.commit },
      describe('MsgAppResp', { term: after.term, from: node.id, to: node.id }, { index: after.log })
    )
  }

  #sendToItself (node: CoreNode, name: string, state: TracedState, msg: TracedMessage): void {
    this.#toItself.set(node.id, msg)
    this.#write(node, name, state, msg)
  }

  /** What came before is durable and on its way; says nothing when there was nothing. */
  #ready (node: CoreNode, state: TracedState): void {
    if (this.#unready.has(node.id)) this.#write(node, 'Ready', state)
    this.#unready.delete(node.id)
  }

  #write (node: CoreNode, name: string, state: TracedState, msg?: TracedMessage): void {
    if (name !== 'Ready') this.#unready.add(node.id)
    this.#emit(JSON.stringify({
      tag: 'trace',
      event: {
        name,
        nid: node.id,
        state: { term: state.term, vote: state.vote ?? '0', commit: state.commit },
        role: roleNames[state.role],
        log: state.log,
        conf: [node.core.configuration.voters, []],
        ...(msg === undefined ? {} : { msg })
      }
    }))
  }
}
