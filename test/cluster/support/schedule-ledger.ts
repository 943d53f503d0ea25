/** What a run of a schedule has noted. */
export interface LedgerLine {
  readonly kind: 'start' | 'accepted' | 'fenced' | 'end'
  readonly schedule: string
  /** The planned instant. */
  readonly slot: string
  readonly attempt: number
  readonly token: string
  readonly node: string
}

/** What a ledger says of one schedule. */
export interface LedgerVerdict {
  readonly runs: number
  readonly slots: number
  /** Attempts that began more than once, which no attempt may. */
  readonly twice: readonly string[]
  /** Slots whose work the fenced map has taken more than once. */
  readonly acceptedTwice: readonly string[]
  /** Seconds between the first slot and the last one that was to run, without a run that ended. */
  readonly unfinished: readonly string[]
  /** Attempts above the first. */
  readonly repeated: number
}

/** The lines of a ledger. The last one may be cut: its process was killed within the write. */
export function parseLedger (text: string): readonly LedgerLine[] {
  return text.split('\n').filter((line) => line.endsWith('}')).map((line) => JSON.parse(line) as LedgerLine)
}

/** Judges the runs of a schedule that comes every second, up to the last slot that was to run. */
export function judgeLedger (lines: readonly LedgerLine[], schedule: string, lastSlot: string): LedgerVerdict {
  const own = lines.filter((line) => line.schedule === schedule)
  const of = (kind: LedgerLine['kind']): readonly LedgerLine[] => own.filter((line) => line.kind === kind)
  const starts = of('start')
  const ended = new Set(of('end').map(({ slot }) => slot))
  const firstMs = Math.min(...starts.map(({ slot }) => Date.parse(slot)))
  const due: string[] = []
  for (let slotMs = firstMs; slotMs <= Date.parse(lastSlot); slotMs += 1_000) due.push(new Date(slotMs).toISOString())
  return {
    runs: starts.length,
    slots: due.length,
    twice: repeatedOf(starts.map(({ slot, attempt }) => `${slot} ${attempt}`)),
    acceptedTwice: repeatedOf(of('accepted').map(({ slot }) => slot)),
    unfinished: due.filter((slot) => !ended.has(slot)),
    repeated: starts.filter(({ attempt }) => attempt > 1).length
  }
}

function repeatedOf (texts: readonly string[]): readonly string[] {
  return texts.filter((text, at) => texts.indexOf(text) !== at)
}
