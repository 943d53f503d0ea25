import { describe, expect, it } from 'vitest'
import { decodeEnvelope, encodeEnvelope } from '../../../src/raft/state/command-envelope.ts'

describe('commands of client sessions', () => {
  it('reads back commands, and refuses every shortened command', () => {
    const nonce = new Uint8Array(16).fill(7)
    expect(decodeEnvelope(encodeEnvelope({ kind: 'open', nonce, ttlMs: 60_000 }))).toEqual({
      kind: 'open',
      nonce: Buffer.from(nonce),
      ttlMs: 60_000
    })
    const clock = { kind: 'clock', wallMs: 1_700_000_000_000 } as const
    expect(decodeEnvelope(encodeEnvelope(clock))).toEqual(clock)
    const command = {
      kind: 'command',
      session: 300,
      sequence: 2,
      lowestOpen: 1,
      payload: Uint8Array.of(1, 2, 3)
    } as const
    const encoded = encodeEnvelope(command)
    expect(decodeEnvelope(encoded)).toEqual({ ...command, payload: Buffer.from(command.payload) })
    for (let length = 0; length < 5; length++) {
      expect(() => decodeEnvelope(encoded.subarray(0, length))).toThrow('Malformed')
    }
  })

  it('refuses a command of an unknown kind', () => {
    expect(() => decodeEnvelope(Uint8Array.of(9, 1, 1, 1))).toThrow(
      expect.objectContaining({ code: 'RAFT_MALFORMED_MESSAGE' })
    )
  })
})
