import { describe, expect, it } from 'vitest'
import type { Configuration, Entry } from '../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm, stableConfiguration } from '../../../src/raft/core/index.ts'
import { MemberChanges } from '../../../src/raft/membership/changes.ts'

function member (id: string) {
  return { id: asNodeId(id), address: `http://${id}` }
}
const two = stableConfiguration([member('n1'), member('n2')])
const three = stableConfiguration([member('n1'), member('n2'), member('n3')])

/** A leader of term 5 that appends the entry at index 10. */
function setUp () {
  const node = {
    isRunning: true,
    view: { role: 'leader', term: asTerm(5), leader: asNodeId('n1') } as const,
    configuration: two,
    configurationIndex: 3,
    appliedIndex: 9,
    configure: () => ({ kind: 'appended', index: asIndex(10) } as const)
  }
  const changes = new MemberChanges(node)
  const apply = (index: number, term: number, configuration: Configuration | null): void => {
    const head = { index: asIndex(index), term: asTerm(term), timeMs: 1 }
    const entry: Entry = configuration === null
      ? { ...head, kind: 'noop' }
      : { ...head, kind: 'configuration', configuration }
    if (configuration !== null) Object.assign(node, { configuration, configurationIndex: index })
    changes.applying(entry)
    node.appliedIndex = index
    changes.applied()
  }
  const asked = changes.change([{ kind: 'remove', id: 'n3' }], [], { timeoutMs: 5_000 })
  return {
    node,
    changes,
    apply,
    outcome: asked.then(
      (membership) => membership.version,
      (error: { code: string }) => error.code
    )
  }
}

describe('a change of membership', () => {
  it('is complete once its own entry, and a configuration that is not joint, are applied', async () => {
    const { apply, outcome } = setUp()
    apply(10, 5, { ...two, outgoing: three.voters })
    apply(11, 5, two)
    expect(await outcome).toBe(11)
  })

  it('is complete although another leader has completed it', async () => {
    const { apply, outcome } = setUp()
    apply(10, 5, { ...two, outgoing: three.voters })
    apply(11, 6, null)
    apply(12, 6, two)
    expect(await outcome).toBe(12)
  })

  it('has changed nothing when another leader replaced its entry, no matter what that leader changed later', async () => {
    const { apply, outcome } = setUp()
    apply(10, 6, null)
    apply(11, 6, three)
    expect(await outcome).toBe('RAFT_NOT_LEADER')
  })

  it('has an unknown outcome when a snapshot covers its entry', async () => {
    const { node, changes, outcome } = setUp()
    Object.assign(node, { configuration: three, configurationIndex: 11, appliedIndex: 12 })
    changes.applied()
    expect(await outcome).toBe('RAFT_OUTCOME_UNKNOWN')
  })
})
