import type { History } from '../history.ts'
import type { RecordedCall } from '../history-recorder.ts'
import { HistoryRecorder } from '../history-recorder.ts'

/** Joins the lines of a log in which every process has one call under way at most. The line number is the time. */
export class PairedLines<Input, Output> {
  #line = 0
  readonly #recorder = new HistoryRecorder<Input, Output>(() => ++this.#line)
  readonly #underWay = new Map<string, RecordedCall<Output>>()

  invoke (process: string, input: Input): void {
    if (this.#underWay.has(process)) throw new Error(`process ${process} calls twice at once`)
    this.#underWay.set(process, this.#recorder.invoke(process, input))
  }

  complete (process: string, output: Output): void { this.#end(process).complete(output) }

  fail (process: string): void { this.#end(process).fail() }

  unknown (process: string): void { this.#end(process).unknown() }

  history (): History<Input, Output> { return this.#recorder.history() }

  #end (process: string): RecordedCall<Output> {
    const call = this.#underWay.get(process)
    if (call === undefined) throw new Error(`process ${process} has no call under way`)
    this.#underWay.delete(process)
    return call
  }
}
