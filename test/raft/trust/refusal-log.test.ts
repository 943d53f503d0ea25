import { expect, it } from 'vitest'
import { OtherSecretError, UnauthenticatedError } from '../../../src/raft/errors.ts'
import { RefusalLog } from '../../../src/raft/trust/refusal-log.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'

it('refusals are logged at once, and then once a minute with their count, each code by itself', () => {
  const logger = new MemoryLogger()
  let nowMs = 5
  const log = new RefusalLog(logger, () => nowMs)
  const counts = (): unknown[] => logger.lines.splice(0).map(({ details }) => details)
  log.add(new OtherSecretError('n4', 'n1'))
  expect(counts()).toEqual([{ code: 'RAFT_OTHER_SECRET', count: 1, reason: expect.stringContaining('"n4"') as string }])
  for (let round = 0; round < 100; round++) log.add(new OtherSecretError('n4', 'n1'))
  log.add(new UnauthenticatedError('it carries no seal'))
  expect(counts()).toEqual([{ code: 'RAFT_UNAUTHENTICATED', count: 1, reason: expect.stringContaining('seal') as string }])
  nowMs += 60_000
  log.add(new OtherSecretError('n5', 'n1'))
  expect(counts()).toMatchObject([{ code: 'RAFT_OTHER_SECRET', count: 101 }])
})
