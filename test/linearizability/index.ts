export { checkHistory } from './check-history.ts'
export type {
  CheckOptions,
  LinearizableVerdict,
  LinearizedOperation,
  UndecidedVerdict,
  Verdict,
  ViolationVerdict
} from './check-history.ts'
export { describeOperation, describeViolation } from './describe-violation.ts'
export type { History, Operation, Outcome, ReturnedOperation } from './history.ts'
export { HistoryRecorder } from './history-recorder.ts'
export type { RecordedCall } from './history-recorder.ts'
export type { Model } from './model.ts'
export { keyValueModel } from './models/key-value.ts'
export type { KeyValueInput, KeyValueOutput } from './models/key-value.ts'
export { lockModel } from './models/lock.ts'
export type { LockInput, LockOutput, LockState } from './models/lock.ts'
export { registerModel } from './models/register.ts'
export type { RegisterInput, RegisterOutput, RegisterState } from './models/register.ts'
export { replicatedMapModel } from './models/replicated-map.ts'
export type { MapInput, MapOutput, MapState } from './models/replicated-map.ts'
