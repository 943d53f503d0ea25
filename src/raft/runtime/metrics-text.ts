/** What a metric of the text format may be. */
type MetricType = 'counter' | 'gauge' | 'histogram'

/** Labels of a sample by name; values are escaped. */
type Labels = Readonly<Record<string, string>>

/** A value of a metric, and what tells it from its others. */
interface Sample {
  readonly value: number
  readonly labels?: Labels
}

/** Media type of {@link MetricsText}. */
export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8'

/** Counts values by upper bounds, for a histogram. */
export class Histogram {
  readonly bounds: readonly number[]
  /** How many values were at most the bound at this place, and above the one before. */
  readonly counts: number[]
  count = 0
  sum = 0

  /** `bounds`: ascending. */
  constructor (bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = bounds.map(() => 0)
  }

  observe (value: number): void {
    this.count++
    this.sum += value
    const at = this.bounds.findIndex((bound) => value <= bound)
    if (at !== -1) this.counts[at] = (this.counts[at] ?? 0) + 1
  }
}

/**
 * Writes metrics in the text format that Prometheus reads (exposition format 0.0.4). Names follow its conventions: base
 * units, and `_total` behind counters. A metric without samples is left out.
 */
export class MetricsText {
  readonly #lines: string[] = []
  readonly #prefix: string

  /** `prefix` stands in front of all names. */
  constructor (prefix: string) {
    this.#prefix = prefix
  }

  /** A value that only grows while the process runs. */
  counter (name: string, help: string, samples: readonly Sample[] | number): this {
    return this.#metric('counter', name, help, samples)
  }

  /** A value of this moment. */
  gauge (name: string, help: string, samples: readonly Sample[] | number): this {
    return this.#metric('gauge', name, help, samples)
  }

  /** How values are distributed. */
  histogram (name: string, help: string, { bounds, counts, count, sum }: Histogram): this {
    const full = this.#head('histogram', name, help)
    let below = 0
    bounds.forEach((bound, at) => {
      below += counts[at] ?? 0
      this.#sample(`${full}_bucket`, { value: below, labels: { le: numberText(bound) } })
    })
    this.#sample(`${full}_bucket`, { value: count, labels: { le: '+Inf' } })
    this.#sample(`${full}_sum`, { value: sum })
    this.#sample(`${full}_count`, { value: count })
    return this
  }

  /** The whole text, to be sent as {@link metricsContentType}. */
  toString (): string {
    return `${this.#lines.join('\n')}\n`
  }

  #metric (type: MetricType, name: string, help: string, samples: readonly Sample[] | number): this {
    const all = typeof samples === 'number' ? [{ value: samples }] : samples
    if (all.length === 0) return this
    const full = this.#head(type, name, help)
    for (const sample of all) this.#sample(full, sample)
    return this
  }

  #head (type: MetricType, name: string, help: string): string {
    const full = this.#prefix + name
    const text = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
    this.#lines.push(`# HELP ${full} ${text}`, `# TYPE ${full} ${type}`)
    return full
  }

  #sample (name: string, { value, labels = {} }: Sample): void {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
    this.#lines.push(`${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${numberText(value)}`)
  }
}

function escaped (text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function numberText (value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (Number.isFinite(value)) return String(value)
  return value > 0 ? '+Inf' : '-Inf'
}
