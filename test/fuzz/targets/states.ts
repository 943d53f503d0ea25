import { crc32 } from 'node:zlib'
import { ClusterStateMachine } from '../../../src/plugin/replicated/cluster-state-machine.ts'
import { encodeCommand } from '../../../src/plugin/replicated/command.ts'
import { parseArray } from '../../../src/raft/state/json-record.ts'
import type { SectionToRead } from '../../../src/raft/state/sections.ts'
import { decodeSections, encodeSections } from '../../../src/raft/state/sections.ts'
import { SimRandom } from '../../sim/random.ts'
import { wholeOf, withBytes } from '../bytes.ts'
import { anyCommand, populated } from '../cluster-states.ts'
import type { Fuzzed, Outcome, Target } from '../target.ts'
import { accepted, BrokenRule, refusalBy } from '../target.ts'
import { edgeCount, editText, noise, strangeText, textEdit, wildJson } from '../values.ts'

interface Section {
  readonly name: string
  readonly version: number
  readonly records: readonly string[]
}

/** The state in a snapshot: its sections, and bytes that are written over them; its checksum is right or not. */
export interface StateInput {
  readonly sections: readonly Section[]
  readonly overwrites: ReadonlyArray<{ readonly at: number, readonly bytes: Uint8Array }>
  readonly isSealed: boolean
}

async function sectionsOf (state: AsyncIterable<Uint8Array>): Promise<readonly Section[]> {
  const sections: Section[] = []
  for await (const { name, version, records } of decodeSections(state)) {
    sections.push({ name, version, records: await textsOf(records) })
  }
  return sections
}

async function textsOf (records: SectionToRead['records']): Promise<string[]> {
  const texts: string[] = []
  for await (const record of records) texts.push(Buffer.from(record).toString('utf8'))
  return texts
}

const validSections = await sectionsOf(populated().snapshot())

/** One member of a record, itself JSON, of another kind or size. */
function changedRecord (random: SimRandom, record: string): string {
  if (random.chance(0.4)) return editText(record, [textEdit(random)])
  if (random.chance(0.2)) return wildJson(random)
  const fields = parseArray(record)
  // Some records hold more than one JSON text.
  if (fields === null) return editText(record, [textEdit(random), textEdit(random)])
  const texts = textsOfFields(fields)
  if (texts === null) return editText(record, [textEdit(random)])
  const at = random.between(0, Math.max(0, texts.length - 1))
  texts[at] = random.chance(0.4)
    ? String(edgeCount(random))
    : random.chance(0.5) ? JSON.stringify(strangeText(random)) : wildJson(random)
  return `[${texts.join(',')}]`
}

/** Null for what nests too deeply to be written again. */
function textsOfFields (fields: readonly unknown[]): string[] | null {
  try {
    return fields.map((field) => JSON.stringify(field))
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

function changed (random: SimRandom, sections: Section[]): void {
  const at = random.between(0, Math.max(0, sections.length - 1))
  const section = sections[at]
  if (section === undefined) return
  const { records } = section
  const record = random.between(0, Math.max(0, records.length - 1))
  const chosen = records[record]
  switch (random.between(0, 9)) {
    case 0: sections.splice(at, 1); return
    case 1: sections.splice(at, 0, section); return
    case 2: sections[at] = { ...section, name: random.pick(['maps', 'locks', 'machine:x', strangeText(random) || 'x']) }; return
    case 3: sections[at] = { ...section, version: edgeCount(random, section.version) }; return
    case 4: sections[at] = { ...section, records: [...records, ...records.slice(record)] }; return
    case 5: sections[at] = { ...section, records: records.slice(0, record) }; return
    default:
      if (chosen === undefined) return
      sections[at] = { ...section, records: records.with(record, changedRecord(random, chosen)) }
  }
}

class FuzzedStates implements Fuzzed<StateInput> {
  make (random: SimRandom): StateInput {
    const sections = [...validSections]
    for (let changes = random.pick([0, 1, 1, 1, 2]); changes > 0; changes--) changed(random, sections)
    const isDamaged = random.chance(0.25)
    const overwrites = isDamaged
      ? Array.from({ length: random.between(1, 2) }, () => ({ at: random.between(0, 300), bytes: noise(random, 6) }))
      : []
    return { sections, overwrites, isSealed: !isDamaged || random.chance(0.7) }
  }

  async run ({ sections, overwrites, isSealed }: StateInput): Promise<Outcome> {
    const right = await wholeOf(encodeSections(sections.map(({ records, ...section }) =>
      ({ ...section, records: records.map((record) => Buffer.from(record, 'utf8')) }))))
    let bytes: Buffer = right
    for (const { at, bytes: over } of overwrites) bytes = Buffer.from(withBytes(bytes, at, over))
    if (isSealed) bytes.writeUInt32BE(crc32(bytes.subarray(0, -4)), bytes.length - 4)
    const machine = populated()
    const before = JSON.stringify(machine)
    try {
      await machine.restore((async function * () { yield bytes })())
    } catch (error) {
      const outcome = refusalBy(error)
      if (JSON.stringify(machine) !== before) throw new BrokenRule('a refused state changes nothing', JSON.stringify(machine))
      return outcome
    }
    if (!await goesOn(machine)) return accepted('a state at the end of all indexes')
    return accepted(JSON.stringify(machine) === before ? 'same state' : 'another state')
  }

  async close (): Promise<void> {}
}

/**
 * A state that was taken is one that the node can go on with: it takes commands, and its snapshot reads back as it.
 * False for one that ends where no log gets: that node halts at the next entry rather than give a token twice.
 */
async function goesOn (machine: ClusterStateMachine): Promise<boolean> {
  if (endsBehind(machine, farIndex)) return false
  const random = new SimRandom(1, 'commands')
  for (let index = farIndex + 1; index <= farIndex + 8; index++) {
    const command = anyCommand(random)
    // There is no state machine of an application here.
    if (command.kind === 'machine') continue
    machine.apply(encodeCommand(command), { index, term: 9, timeMs: 2 ** 48, timeOfDayMs: 0 })
  }
  const copy = new ClusterStateMachine()
  await copy.restore(machine.snapshot())
  if (JSON.stringify(copy) !== JSON.stringify(machine)) {
    const both = `${JSON.stringify(copy)}\n${JSON.stringify(machine)}`
    throw new BrokenRule('a restored state has a snapshot that restores it', both)
  }
  return true
}

const farIndex = 2 ** 47

/** Whether a leadership that starts at an index comes too late for a state; it starts otherwise. */
function endsBehind (machine: ClusterStateMachine, index: number): boolean {
  try {
    machine.leadershipStarted({ index, term: 9, timeMs: 2 ** 48, timeOfDayMs: 0 })
    return false
  } catch (error) {
    if (error instanceof Error && error.message.includes('tokens would not rise')) return true
    throw error
  }
}

/** States of snapshots, as a leader sends them or a disk holds them. */
export const states: Target<StateInput> = {
  name: 'states',
  share: 8,
  open: async () => new FuzzedStates()
}
