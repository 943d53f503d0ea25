import { describe, expect, it } from 'vitest'
import { SessionTable, decodeSessionCommand, encodeSessionCommand } from '../../src/raft/session.ts'

describe('client sessions', () => {
  it('applies each command of a session once, in whatever order they arrive', () => {
    const table = new SessionTable(10)
    table.open(5)
    expect(table.admit(5, 2, 1)).toBe('apply')
    expect(table.admit(5, 1, 1)).toBe('apply')
    expect(table.admit(5, 2, 1)).toBe('duplicate')
    expect(table.admit(5, 1, 1)).toBe('duplicate')
    expect(table.admit(5, 3, 3)).toBe('apply')
  })

  it('A24: never applies a late repetition of a command its client has given up', () => {
    const table = new SessionTable(10)
    table.open(5)
    expect(table.admit(5, 4, 4)).toBe('apply')
    expect(table.admit(5, 3, 1)).toBe('duplicate')
    expect(table.admit(5, 4, 4)).toBe('duplicate')
  })

  it('refuses a session that was never opened or has been dropped', () => {
    const table = new SessionTable(2)
    expect(table.admit(1, 1, 1)).toBe('unknown-session')
    table.open(1)
    table.open(2)
    expect(table.admit(1, 1, 1)).toBe('apply')
    table.open(3)
    expect(table.admit(2, 1, 1)).toBe('unknown-session')
    expect(table.admit(1, 1, 1)).toBe('duplicate')
    expect(table.admit(3, 1, 1)).toBe('apply')
  })

  it('keeps no more than what may still be repeated', () => {
    const table = new SessionTable(1)
    table.open(1)
    for (let sequence = 1; sequence <= 10_000; sequence++) expect(table.admit(1, sequence, sequence)).toBe('apply')
    expect(table.admit(1, 9_999, 1)).toBe('duplicate')
  })

  it('reads back its commands, and refuses anything shorter', () => {
    const nonce = new Uint8Array(16).fill(7)
    expect(decodeSessionCommand(encodeSessionCommand({ kind: 'open', nonce }))).toEqual({ kind: 'open', nonce: Buffer.from(nonce) })
    const command = { kind: 'command', session: 300, sequence: 2, lowestOpen: 1, payload: Uint8Array.of(1, 2, 3) } as const
    const encoded = encodeSessionCommand(command)
    expect(decodeSessionCommand(encoded)).toEqual({ ...command, payload: Buffer.from(command.payload) })
    for (let length = 0; length < 5; length++) expect(() => decodeSessionCommand(encoded.subarray(0, length))).toThrow('Malformed')
  })
})
