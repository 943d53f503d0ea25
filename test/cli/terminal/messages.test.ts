import { describe, expect, it } from 'vitest'
import { describeFailure, PlainError } from '../../../src/cli/terminal/messages.ts'
import { InvalidOptionsError, WalCorruptError } from '../../../src/raft/index.ts'

const listen = { host: '127.0.0.1', port: 4001 }
function systemError (code: string): Error {
  return Object.assign(new Error(`listen ${code}`), { code })
}

describe('the message of a failed command', () => {
  it.each([
    ['EADDRINUSE', 'Port 4001 on 127.0.0.1 is in use. Stop what uses it, or choose another with --listen'],
    [
      'EACCES',
      'Listening on port 4001 of 127.0.0.1 is not allowed to this user. Choose a port above 1023 with --listen'
    ],
    [
      'EADDRNOTAVAIL',
      'This machine has no address 127.0.0.1. Choose one it has with --listen, for example 0.0.0.0:4001 for all'
    ],
    ['ENOTFOUND', 'The host name 127.0.0.1 is not known. Name an address of this machine with --listen']
  ])('explains %s', (code, message) => {
    expect(describeFailure(systemError(code), listen)).toEqual({ message, exitCode: 1 })
  })

  it('blames the command line for wrong options', () => {
    expect(describeFailure(new InvalidOptionsError('id is missing'), listen)).toEqual({
      message: 'Invalid options: id is missing',
      exitCode: 2
    })
  })

  it('names the code of an error of the library', () => {
    expect(describeFailure(new WalCorruptError('The log is damaged'), listen)).toEqual({
      message: 'The log is damaged (RAFT_WAL_CORRUPT)',
      exitCode: 1
    })
  })

  it('repeats a plain message', () => {
    expect(describeFailure(new PlainError('The directory d does not exist'), null)).toEqual({
      message: 'The directory d does not exist',
      exitCode: 1
    })
  })

  it('keeps the stack of an unexpected error', () => {
    const { message, exitCode } = describeFailure(new RangeError('off by one'), null)
    expect(message).toContain('RangeError: off by one')
    expect(message).toContain('messages.test.ts')
    expect(exitCode).toBe(1)
  })
})
