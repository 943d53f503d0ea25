import type { ApplyContext } from '../../raft/index.ts'
import { InvalidOptionsError, MachineExistsError, MachineTooLateError, UnknownMachineError } from '../../raft/index.ts'
import type { SectionToRead, SectionToWrite } from '../../raft/internal.ts'
import type { MachineAnswer } from './answer.ts'
import type { MachineCommand } from './command.ts'
import { limits } from './limits.ts'
import type { AnyMachineDefinition } from './user-machine.ts'
import { initialFault, UserMachine } from './user-machine.ts'
import { isMachineName, isToken } from './validate.ts'

/** Sections of user machines in a snapshot have this before their name. */
export const machineSectionPrefix = 'machine/'

/**
 * The state machines of the application. They are registered before the first entry is applied, on every node alike.
 */
export class UserMachines {
  readonly #freezes: boolean
  readonly #machines = new Map<string, UserMachine>()
  #isSealed = false

  /** With `freezes`, a state that is changed in place throws. */
  constructor (freezes: boolean) {
    this.#freezes = freezes
  }

  /**
   * Registers a machine. Throws `RAFT_INVALID_OPTIONS`, `RAFT_MACHINE_EXISTS`, or `RAFT_MACHINE_TOO_LATE` once the node
   * applies entries.
   */
  register (name: string, definition: AnyMachineDefinition): UserMachine {
    const faults = faultsOf(name, definition)
    if (faults.length > 0) {
      throw new InvalidOptionsError(`the state machine ${JSON.stringify(name)}: ${faults.join('; ')}`)
    }
    if (this.#machines.has(name)) throw new MachineExistsError(name)
    if (this.#isSealed) throw new MachineTooLateError(name)
    if (this.#machines.size >= limits.maxMachines) {
      throw new InvalidOptionsError(`there are ${limits.maxMachines} state machines already, and no more are allowed`)
    }
    const fault = initialFault(definition)
    if (fault !== null) {
      throw new InvalidOptionsError(
        `the state machine "${name}": ${fault}, which JSON cannot say; give snapshot() and restore()`
      )
    }
    const machine = new UserMachine(name, definition, this.#freezes)
    this.#machines.set(name, machine)
    return machine
  }

  /** Ends registration: from now on snapshots are read and entries applied. */
  seal (): void {
    this.#isSealed = true
  }

  /** Applies a command. Throws, and so halts the node, where no such machine is registered. */
  apply (command: MachineCommand, context: ApplyContext): MachineAnswer {
    this.#isSealed = true
    const machine = this.#machines.get(command.machine)
    if (machine === undefined) {
      throw new UnknownMachineError(command.machine, `the entry at index ${context.index} is a command for it`)
    }
    return machine.apply(command, context)
  }

  /** Captures the machines that were ever used, each as a section with its own version. */
  capture (): SectionToWrite[] {
    const used = [...this.#machines.values()].filter(({ isUsed }) => isUsed)
    return used
      .sort((one, other) => (one.name < other.name ? -1 : 1))
      .map((machine) => ({
        name: `${machineSectionPrefix}${machine.name}`,
        version: machine.version,
        records: machine.capture()
      }))
  }

  /**
   * Reads a section that `capture` gave. Changes nothing; the function it resolves with does. Rejects with
   * `RAFT_UNKNOWN_MACHINE` or `RAFT_MACHINE_VERSION` for a machine that was not registered, or in a later version.
   */
  async read (section: SectionToRead): Promise<() => void> {
    this.#isSealed = true
    const machine = this.#registered(section.name.slice(machineSectionPrefix.length))
    return await machine.read(section.records, section.version)
  }

  /** Back to the first state, for the machines that a snapshot has no section of. */
  reset (): void {
    for (const machine of this.#machines.values()) machine.reset()
  }

  /** The states that are not their first ones, as JSON. */
  toJSON (): unknown {
    return [...this.#machines.values()]
      .filter(({ isUsed }) => isUsed)
      .map(({ name, version, state }) => ({ name, version, state }))
  }

  #registered (name: string): UserMachine {
    const machine = this.#machines.get(name)
    if (machine === undefined) throw new UnknownMachineError(name, 'the snapshot has a state of it')
    return machine
  }
}

function faultsOf (name: unknown, definition: unknown): string[] {
  const faults: string[] = []
  if (!isMachineName(name)) faults.push(`a name has 1 to ${limits.maxMachineNameLength} characters`)
  if (typeof definition !== 'object' || definition === null) return [...faults, 'a definition is an object']
  const given = new Map<string, unknown>(Object.entries(definition))
  if (!isToken(given.get('version'))) faults.push('version is an integer, 1 or higher')
  for (const required of ['initial', 'apply']) {
    if (typeof given.get(required) !== 'function') faults.push(`${required} is a function, and required`)
  }
  for (const optional of ['snapshot', 'restore']) {
    if (given.get(optional) !== undefined && typeof given.get(optional) !== 'function') {
      faults.push(`${optional} is a function`)
    }
  }
  if (given.get('snapshot') !== undefined && given.get('restore') === undefined) {
    faults.push('snapshot needs a restore that reads what it gives')
  }
  const known = new Set(['version', 'initial', 'apply', 'snapshot', 'restore'])
  for (const member of given.keys()) if (!known.has(member)) faults.push(`there is no member ${JSON.stringify(member)}`)
  return faults
}
