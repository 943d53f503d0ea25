import type { Answer } from '../../src/plugin/replicated/answer.ts'
import type { Command, OnceCondition } from '../../src/plugin/replicated/command.ts'
import { decodeCommand, encodeCommand } from '../../src/plugin/replicated/command.ts'
import type {
  History,
  LockInput,
  LockOutput,
  MapInput,
  MapOutput,
  Model,
  RecordedCall
} from '../linearizability/index.ts'
import {
  checkHistory,
  describeViolation,
  HistoryRecorder,
  lockModel,
  replicatedMapModel
} from '../linearizability/index.ts'
import { BrokenPromise } from './promise.ts'
import type { SimRandom } from './random.ts'
import type { Replicas } from './replicas.ts'
import type { SimNode, World } from './world.ts'

const mapName = 'm'
/** Beyond it the checker gives up on a key or a lock: better undecided than slow. */
const maxConfigurations = 200_000

interface HeldByCaller {
  readonly lock: string
  readonly token: number
}

interface Caller {
  readonly name: string
  /** The lock that it was granted, as far as it knows. */
  held: HeldByCaller | null
  attempts: number
  /** Idempotency keys that it has used. */
  keys: number
}

type WriteInput = Exclude<MapInput, { readonly kind: 'get' }>

/** Whether this failure proves that the command was not executed. */
function isSurelyNotExecuted (error: unknown): boolean {
  return !(error instanceof Error && 'code' in error && error.code === 'RAFT_OUTCOME_UNKNOWN')
}

/**
 * The users of a cluster: each calls one operation after the other on a node that is up, on maps and locks, through the
 * production client of that node. An order of the operations must explain all answers.
 */
export class Callers {
  readonly #world: World
  readonly #replicas: Replicas
  readonly #maps: HistoryRecorder<MapInput, MapOutput>
  readonly #locks: HistoryRecorder<LockInput, LockOutput>
  #open = 0
  answered = 0
  unknown = 0
  /** Calls with an idempotency key that had been used before. */
  repeats = 0

  constructor (world: World, replicas: Replicas) {
    this.#world = world
    this.#replicas = replicas
    const nowMs = (): number => world.nowUs / 1_000
    this.#maps = new HistoryRecorder(nowMs)
    this.#locks = new HistoryRecorder(nowMs)
  }

  /** Calls under way. */
  get open (): number {
    return this.#open
  }

  start (): void {
    const {
      plan: { callers }
    } = this.#world
    for (let number = 1; number <= callers.count; number++) {
      const caller: Caller = { name: `c${number}`, held: null, attempts: 0, keys: 0 }
      let isBusy = false
      this.#world.repeatUntilHealed(caller.name, callers.thinkUs, (random) => {
        const { up } = this.#world
        if (isBusy || up.length === 0) return
        isBusy = true
        this.#follow(
          this.#call(random.pick(up), caller, random).finally(() => {
            isBusy = false
          })
        )
      })
    }
  }

  /** Writes and reads on a node until both were answered. */
  prove (sim: SimNode, proven: () => void): void {
    const key = `proof of ${sim.node.id}`
    const until = async (input: MapInput): Promise<void> => {
      while (!(await this.#map(sim, 'proof', input))) await this.#pause()
    }
    this.#follow(
      until({ kind: 'set', key, value: 0 })
        .then(() => until({ kind: 'get', key }))
        .then(proven)
    )
  }

  /** The end of a lock is about to be proposed: from now on it may happen at any time. */
  expiring (sim: SimNode, bytes: Uint8Array): void {
    const command = decodeCommand(bytes)
    if (command.kind !== 'lock-expire') return
    const { name, token } = command
    const holder = this.#replicas.serviceOf(sim.node.id).replica.machine.locks.get(name)
    if (holder?.token === token) {
      this.#locks.invoke('expiry', { kind: 'expire', lock: name, request: holder.requestId }).unknown()
    }
  }

  /** Throws when no order of effects explains what the callers saw. */
  check (): void {
    this.#checkOne('map', replicatedMapModel, this.#maps.history())
    this.#checkOne('lock', lockModel, this.#locks.history())
  }

  #checkOne<State, Input, Output>(
    name: string,
    model: Model<State, Input, Output>,
    history: History<Input, Output>
  ): void {
    const verdict = checkHistory(model, history, { maxConfigurations })
    if (verdict.verdict === 'violation') {
      throw new BrokenPromise('linearizable', `${name}: ${describeViolation(model, verdict)}`)
    }
  }

  #pause (ticks = 1): Promise<void> {
    return new Promise((resolve) => {
      this.#world.queue.after(ticks * this.#world.plan.tickUs, () => {
        resolve()
        this.#world.hasPromises = true
      })
    })
  }

  #follow (call: Promise<void>): void {
    this.#open++
    call
      .catch((error: unknown) => {
        this.#world.failure ??= error instanceof Error ? error : new Error(String(error))
      })
      .finally(() => {
        this.#open--
      })
  }

  async #call (sim: SimNode, caller: Caller, random: SimRandom): Promise<void> {
    if (!random.chance(0.6)) return this.#lock(sim, caller, random)
    const input = this.#drawMapInput(random)
    if (input.kind !== 'get' && random.chance(this.#world.plan.callers.keyed)) {
      return this.#writeOnce(caller, input, random)
    }
    await this.#map(sim, caller.name, input)
  }

  #drawMapInput (random: SimRandom): MapInput {
    const key = `k${random.between(1, this.#world.plan.callers.keys)}`
    const condition = random.chance(0.3) ? { ifRevision: random.chance(0.5) ? 0 : random.between(1, 50) } : {}
    const kind = random.pick(['get', 'get', 'set', 'set', 'delete'] as const)
    if (kind === 'get') return { kind, key }
    return kind === 'set' ? { kind, key, value: this.#world.nowUs, ...condition } : { kind, key, ...condition }
  }

  /** Returns whether it was answered. */
  async #map (sim: SimNode, process: string, input: MapInput): Promise<boolean> {
    const call = this.#maps.invoke(process, input)
    if (input.kind === 'get') {
      return this.#end(call, await this.#get(sim, input.key))
    }
    const answer = await this.#submit(sim, commandOf(input))
    return this.#end(call, typeof answer === 'string' ? answer : mapOutput(answer))
  }

  /**
   * Writes with an idempotency key: calls again, on any node, until it is answered, and now and then once more. All of
   * it within the horizon, even by the fastest clock.
   */
  async #writeOnce (caller: Caller, input: WriteInput, random: SimRandom): Promise<void> {
    const { plan: { electionTicksMin, callers: { horizonMs, maxBytes } } } = this.#world
    const key = `${caller.name}-${++caller.keys}`
    const command = commandOf(input, { key, origin: random.pick(['api', 'http']), horizonMs, maxBytes })
    const endUs = this.#world.nowUs + 1_000 * horizonMs / 4
    let callsLeft = 20
    const mayGoOn = (): boolean => !this.#world.isHealed && this.#world.nowUs < endUs && callsLeft-- > 0
    const call = this.#maps.invoke(caller.name, input)
    let answer = await this.#submitAnywhere(command, random)
    let isInDoubt = answer === 'unknown'
    while ((answer === 'unknown' || answer === 'failed') && mayGoOn()) {
      await this.#pause(electionTicksMin)
      this.repeats++
      answer = await this.#submitAnywhere(command, random)
      isInDoubt ||= answer === 'unknown'
    }
    // Without room for the key this call executed nothing; one before may have, or still may.
    this.#end(call, typeof answer !== 'string' ? mapOutput(answer) : isInDoubt ? 'unknown' : 'failed')
    if (typeof answer === 'string') return
    while (mayGoOn() && random.chance(0.5)) {
      await this.#pause(electionTicksMin)
      this.repeats++
      const again = await this.#submitAnywhere(command, random)
      if (typeof again !== 'string' && JSON.stringify(again) !== JSON.stringify(answer)) {
        throw new BrokenPromise(
          'a repeated key gets the first answer',
          `${key} got ${JSON.stringify(answer)}, and then ${JSON.stringify(again)}`
        )
      }
    }
  }

  /** `busy`: there is no room for another key. */
  async #submitAnywhere (command: Command, random: SimRandom): Promise<Answer | 'unknown' | 'failed' | 'busy'> {
    const { up } = this.#world
    if (up.length === 0) return 'failed'
    const answer = await this.#submit(random.pick(up), command)
    return typeof answer !== 'string' && answer.kind === 'refused' && answer.code === 'RAFT_BUSY' ? 'busy' : answer
  }

  async #get (sim: SimNode, key: string): Promise<MapOutput | 'failed'> {
    if (!sim.node.isUp) return 'failed'
    const { reads, replica } = this.#replicas.serviceOf(sim.node.id)
    try {
      await reads.wait({})
    } catch {
      // No leader in time, too many reads, or the node has crashed: a read leaves no trace.
      return 'failed'
    }
    const stored = replica.machine.maps.get(mapName, key)
    return stored === undefined
      ? { kind: 'absent' }
      : { kind: 'found', value: JSON.parse(stored.valueJson) as unknown, revision: stored.revision }
  }

  async #lock (sim: SimNode, caller: Caller, random: SimRandom): Promise<void> {
    const { held } = caller
    if (held === null) {
      return this.#acquire(sim, caller, `l${random.between(1, this.#world.plan.callers.locks)}`, random)
    }
    const isRenewal = random.chance(0.5)
    const call = this.#locks.invoke(caller.name, {
      kind: isRenewal ? 'renew' : 'release',
      lock: held.lock,
      token: held.token
    })
    const command: Command = isRenewal
      ? { kind: 'lock-renew', name: held.lock, token: held.token, ttlMs: this.#ttlMs(random) }
      : { kind: 'lock-release', name: held.lock, token: held.token }
    const answer = await this.#submit(sim, command)
    if (!isRenewal || typeof answer === 'string' || answer.kind === 'stale') caller.held = null
    this.#end(call, typeof answer === 'string' ? answer : lockOutput(answer))
  }

  async #acquire (sim: SimNode, caller: Caller, lock: string, random: SimRandom): Promise<void> {
    const request = `${caller.name}-${++caller.attempts}`
    const call = this.#locks.invoke(caller.name, { kind: 'acquire', lock, request })
    const answer = await this.#submit(sim, {
      kind: 'lock-acquire',
      name: lock,
      owner: caller.name,
      ttlMs: this.#ttlMs(random),
      requestId: request
    })
    this.#end(call, typeof answer === 'string' ? answer : lockOutput(answer))
    if (answer === 'unknown') {
      // The caller releases the lock that it may have been granted.
      this.#locks.invoke(caller.name, { kind: 'expire', lock, request }).unknown()
      await this.#submit(sim, { kind: 'lock-abandon', name: lock, requestId: request })
    } else if (typeof answer !== 'string' && answer.kind === 'granted') caller.held = { lock, token: answer.token }
  }

  #ttlMs (random: SimRandom): number {
    return random.between(100, 2_000)
  }

  /** `failed`: the command was not executed. */
  async #submit (sim: SimNode, command: Command): Promise<Answer | 'unknown' | 'failed'> {
    if (!sim.node.isUp) return 'failed'
    try {
      return (await this.#replicas.serviceOf(sim.node.id).proposals.submit(encodeCommand(command), {})) as Answer
    } catch (error) {
      return isSurelyNotExecuted(error) ? 'failed' : 'unknown'
    }
  }

  #end<Output>(call: RecordedCall<Output>, output: Output | 'unknown' | 'failed'): boolean {
    if (output === 'unknown') {
      call.unknown()
      this.unknown++
    } else if (output === 'failed') call.fail()
    else {
      call.complete(output)
      this.answered++
      return true
    }
    return false
  }
}

function commandOf (input: WriteInput, once?: OnceCondition): Command {
  const { key } = input
  const conditions = { ...conditionOf(input), ...once === undefined ? {} : { once } }
  return input.kind === 'set'
    ? { kind: 'map-set', map: mapName, key, value: input.value, ...conditions }
    : { kind: 'map-delete', map: mapName, key, ...conditions }
}

function conditionOf ({ ifRevision }: { readonly ifRevision?: number }): { readonly ifRevision?: number } {
  return ifRevision === undefined ? {} : { ifRevision }
}

function mapOutput (answer: Answer): MapOutput {
  switch (answer.kind) {
    case 'written': return { kind: 'written', revision: answer.revision }
    case 'deleted': return { kind: 'deleted', existed: answer.existed, revision: answer.revision }
    case 'mismatch': return { kind: 'mismatch', revision: answer.revision }
    default: throw new BrokenPromise('commands are answered as asked', `a write of a map with ${answer.kind}`)
  }
}

function lockOutput (answer: Answer): LockOutput {
  switch (answer.kind) {
    case 'granted': return { kind: 'granted', token: answer.token }
    case 'held': return { kind: 'held', token: answer.token }
    case 'renewed': return { kind: 'renewed' }
    case 'released': return { kind: 'released' }
    case 'stale': return { kind: 'stale' }
    default: throw new BrokenPromise('commands are answered as asked', `a command on a lock with ${answer.kind}`)
  }
}
