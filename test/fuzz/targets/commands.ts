import type { ClusterStateMachine } from '../../../src/plugin/replicated/cluster-state-machine.ts'
import { encodeCommand } from '../../../src/plugin/replicated/command.ts'
import { UnknownMachineError } from '../../../src/raft/errors.ts'
import type { SimRandom } from '../../sim/random.ts'
import { flipped } from '../bytes.ts'
import { anyCommand, populated } from '../cluster-states.ts'
import type { Fuzzed, Outcome, Target } from '../target.ts'
import { accepted, BrokenRule, refused } from '../target.ts'
import { editText, noise, textEdit, wildJson, wildNumber } from '../values.ts'

/** The bytes of a command as they stand in an entry. */
export interface CommandInput {
  readonly bytes: Uint8Array
}

/** A valid command with one member of another kind, size or name. */
function nearlyValid (random: SimRandom): string {
  const members = Object.entries(anyCommand(random))
  const [name] = random.pick(members)
  const others = members.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`)
  const wild = random.chance(0.5) ? String(wildNumber(random)) : wildJson(random)
  const added = `${JSON.stringify(random.chance(0.8) ? name : random.pick(['__proto__', 'constructor', 'extra']))}:${wild}`
  return `{${random.chance(0.5) ? [...others, added].join(',') : [added, ...others].join(',')}}`
}

class FuzzedCommands implements Fuzzed<CommandInput> {
  make (random: SimRandom): CommandInput {
    const valid = (): Uint8Array => Uint8Array.from(encodeCommand(anyCommand(random)))
    switch (random.between(0, 5)) {
      case 0: return { bytes: valid() }
      case 1: return { bytes: flipped(random, valid()) }
      case 2: return { bytes: noise(random) }
      case 3: return { bytes: Buffer.from(editText(Buffer.from(valid()).toString('utf8'), [textEdit(random)]), 'utf8') }
      case 4: return { bytes: Buffer.from(wildJson(random), 'utf8') }
      default: return { bytes: Buffer.from(nearlyValid(random), 'utf8') }
    }
  }

  async run ({ bytes }: CommandInput): Promise<Outcome> {
    const machine = populated()
    const before = JSON.stringify(machine)
    const use = machine.reserveUse(bytes)
    let answer: ReturnType<ClusterStateMachine['apply']>
    try {
      answer = machine.apply(bytes, { index: 100, term: 4, timeMs: 60_000, timeOfDayMs: 60_000 })
    } catch (error) {
      // The one reason to stop: this copy lacks a state machine that the others have.
      if (error instanceof UnknownMachineError) return refused('stopped by RAFT_UNKNOWN_MACHINE')
      throw error
    }
    if (answer.kind !== 'refused') return accepted(answer.kind)
    if (use !== null) throw new BrokenRule('what is refused has no right to the reserve', use)
    if (JSON.stringify(machine) !== before) throw new BrokenRule('a refused command changes nothing', JSON.stringify(machine))
    return refused(answer.code)
  }

  async close (): Promise<void> {}
}

/** Commands of entries that are committed: whatever they hold, they stop no node. */
export const commands: Target<CommandInput> = {
  name: 'commands',
  share: 10,
  open: async () => new FuzzedCommands()
}
