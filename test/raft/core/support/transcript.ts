import type { ConfigurationChange, Entry, Message, NodeId, Output, Write } from '../../../../src/raft/core/index.ts'
import { asNodeId } from '../../../../src/raft/core/index.ts'
import { CoreCluster } from '../../../support/core-cluster.ts'
import type { CoreNode, Step } from '../../../support/core-node.ts'

/** Marks a line of a scenario as a command to the cluster. */
const prompt = '> '

/**
 * Runs a scenario and returns it with everything that happened. A scenario is text: lines that start with `> ` are
 * commands, comments start with `#`, and what stands between them is what the last run printed.
 */
export function transcribe (scenario: string): string {
  const transcript = new Transcript()
  for (const line of scenario.split('\n')) {
    if (line.startsWith('#')) transcript.comment(line)
    else if (line.startsWith(prompt)) transcript.command(line)
  }
  return transcript.text
}

type Command = (cluster: CoreCluster, names: readonly string[]) => void

const commands: Readonly<Record<string, Command>> = {
  /** Ticks a node until it campaigns. */
  campaign: (cluster, names) => { for (const name of names) cluster.startCampaign(name) },
  /** Delivers what is on its way now to these nodes, or to all. */
  deliver: (cluster, names) => {
    if (names.length === 0) cluster.deliver()
    for (const to of names) cluster.deliver({ to })
  },
  /** Delivers everything, and all that follows from it. */
  settle: (cluster) => { cluster.settle() },
  /** All nodes tick so many times, and everything arrives. */
  run: (cluster, [count = '1']) => { cluster.run(Number(count)) },
  propose: (cluster, [name = '', ...texts]) => { cluster.propose(name, ...texts) },
  isolate: (cluster, names) => { for (const name of names) cluster.isolate(name) },
  heal: (cluster) => { cluster.heal() },
  crash: (cluster, names) => { for (const name of names) cluster.crash(name) },
  restart: (cluster, names) => { for (const name of names) cluster.restart(name) },
  /** All promises of silence lapse: every node may vote. */
  'forget-leaders': (cluster) => { cluster.forgetLeaders() },
  /** Takes a snapshot of what is applied, and compacts the log. */
  compact: (cluster, names) => { for (const name of names) cluster.node(name).compact() },
  configure: (cluster, [name = '', ...changes]) => { cluster.configure(name, ...changes.map(toChange)) },
  'slow-disk': (cluster, names) => { for (const name of names) cluster.slowDisk(name) },
  'fast-disk': (cluster, names) => { for (const name of names) cluster.fastDisk(name) }
}

class Transcript {
  #lines: string[] = []
  #cluster: CoreCluster | null = null

  get text (): string { return `${this.#lines.join('\n')}\n` }

  comment (line: string): void {
    // Comments that belong together stay so.
    if (!(this.#lines.at(-1)?.startsWith('#') ?? true)) this.#lines.push('')
    this.#lines.push(line)
  }

  command (line: string): void {
    if (this.#lines.length > 0) this.#lines.push('')
    this.#lines.push(line)
    const [name = '', ...words] = line.slice(prompt.length).split(' ')
    if (name === 'cluster') this.#cluster = this.#found(words)
    else if (name === 'logs') this.#printLogs()
    else this.#run(name, words)
  }

  #run (name: string, words: readonly string[]): void {
    const command = commands[name]
    if (command === undefined) throw new Error(`a scenario has no command "${name}"`)
    command(this.#running, words)
  }

  get #running (): CoreCluster {
    if (this.#cluster === null) throw new Error('a scenario starts with > cluster')
    return this.#cluster
  }

  /** `n1 n2=1,1,2 n3 spare:n4`: nodes with the terms of their logs, and nodes that are no members yet. */
  #found (words: readonly string[]): CoreCluster {
    const nodes = words.map((word) => {
      const [name = '', terms = ''] = word.replace('spare:', '').split('=')
      return { name, isVoter: !word.startsWith('spare:'), terms: terms === '' ? [] : terms.split(',').map(Number) }
    })
    return new CoreCluster(nodes.map(({ name }) => name), {
      voters: nodes.filter(({ isVoter }) => isVoter).map(({ name }) => name),
      logs: Object.fromEntries(nodes.map(({ name, terms }) => [name, terms])),
      onStep: (node, step, output) => { this.#step(node, step, output) }
    })
  }

  #printLogs (): void {
    for (const { id, core, log } of this.#running.up) {
      const entries = log.map((entry) => `${entry.index}/${entry.term}`).join(' ')
      this.#lines.push(`  ${id}  ${core.view.role}, term ${core.view.term}, commit ${core.commitIndex}: ${entries}`.trimEnd())
    }
  }

  #step (node: CoreNode, step: Step, output: Output): void {
    const done = linesOf(output)
    const heading = headingOf(step)
    if (heading === null && done.length === 0) return
    this.#lines.push(`  ${node.id}  ${heading ?? step.kind}`, ...done.map((line) => `      ${line}`))
  }
}

/** The event of a step; null when it gets a line only together with its output. */
function headingOf (step: Step): string | null {
  switch (step.kind) {
    case 'receive':
      return `from ${step.message.from}: ${describe(step.message)}${fault(step.violation)}`
    case 'install':
      return `a snapshot has arrived${fault(step.violation)}`
    case 'propose':
    case 'configure':
    case 'transfer':
      return `${step.kind}: ${step.result.kind === 'refused' ? `refused, ${step.result.reason}` : step.result.kind}`
    default:
      return null
  }
}

function fault (violation: { readonly message: string } | null): string {
  return violation === null ? '' : `, refused: ${violation.message}`
}

/** In the order in which a driver carries it out. */
function linesOf (output: Output): string[] {
  const lines: string[] = []
  if (output.write !== null) lines.push(describeWrite(output.write))
  if (output.compactThrough !== null) lines.push(`compacts its log through ${output.compactThrough}`)
  for (const message of output.messages) lines.push(`to ${message.to}: ${describe(message)}`)
  for (const message of output.deferred) {
    lines.push(`to ${message.to}, once write ${output.deferredUntil} is durable: ${describe(message)}`)
  }
  if (output.installed !== null) lines.push(`restores the snapshot through ${output.installed.snapshot.index}`)
  if (output.committed.length > 0) lines.push(`applies ${describeEntries(output.committed)}`)
  for (const peer of output.snapshotsWanted) lines.push(`sends a snapshot to ${peer}`)
  if (output.configuration !== null) {
    const { voters, outgoing, learners } = output.configuration
    lines.push(`configuration:${group('voters', voters)}${group('outgoing', outgoing)}${group('learners', learners)}`)
  }
  if (output.view !== null) {
    const { role, term, leader } = output.view
    lines.push(`is ${role} in term ${term}, ${leader === null ? 'knows no leader' : `${leader} leads`}`)
  }
  return lines
}

function group (name: string, ids: readonly NodeId[]): string {
  return ids.length === 0 ? '' : ` ${name} ${ids.join(' ')}`
}

function describeWrite (write: Write): string {
  const parts: string[] = []
  const { hardState } = write
  if (hardState !== null) {
    parts.push(`term ${hardState.term}, vote ${hardState.vote ?? 'none'}, commit ${hardState.commit}`)
  }
  if (write.kind === 'restart') parts.push(`log starts behind ${write.base.index}/${write.base.term}`)
  else if (write.entries.length > 0) parts.push(`entries ${describeEntries(write.entries)}`)
  return `write ${write.id}: ${parts.join('; ')}`
}

function describeEntries (entries: readonly Entry[]): string {
  return entries.map((entry) => `${entry.index}/${entry.term} ${contentOf(entry)}`).join(', ')
}

function contentOf (entry: Entry): string {
  return entry.kind === 'command' ? JSON.stringify(new TextDecoder().decode(entry.data)) : entry.kind
}

/** The message's own fields, in the order of its type. */
function describe ({ kind, from: _from, to: _to, term, ...fields }: Message): string {
  const words = Object.entries(fields).map(([name, value]) => `${name} ${describeField(value)}`)
  return [`${kind} of term ${term}`, ...words].join(', ')
}

function describeField (value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : `[${describeEntries(value as readonly Entry[])}]`
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.values(value).join(' ')
}

/** `learner:n4`, `promote:n4`, `demote:n1`, `remove:n1`. */
function toChange (word: string): ConfigurationChange {
  const [kind = '', name = ''] = word.split(':')
  const id = asNodeId(name)
  switch (kind) {
    case 'learner':
      return { kind: 'add-learner', id, address: `http://${name}`, incarnation: '' }
    case 'promote':
    case 'demote':
    case 'remove':
      return { kind, id }
    default:
      throw new Error(`a scenario has no change "${word}"`)
  }
}
