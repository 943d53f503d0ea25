import { describe, expect, it } from 'vitest'
import { Histogram, MetricsText } from '../../../src/raft/runtime/metrics-text.ts'

describe('the text of metrics', () => {
  it('is what Prometheus reads', () => {
    const durations = new Histogram([0.1, 1])
    for (const value of [0.05, 0.1, 0.5, 3]) durations.observe(value)
    const text = new MetricsText('app_')
      .counter('requests_total', 'Requests, and\nmore \\ of it.', [
        { value: 3, labels: { status: '200', path: 'a"b\\c\nd' } },
        { value: 1, labels: { status: '404', path: '' } }
      ])
      .counter('nothing_total', 'Left out.', [])
      .gauge('waiting', 'Waiting.', 7)
      .gauge('odd', 'Odd values.', [{ value: NaN }, { value: Infinity }, { value: -Infinity }])
      .histogram('duration_seconds', 'Durations.', durations)
      .toString()
    expect(text).toBe([
      '# HELP app_requests_total Requests, and\\nmore \\\\ of it.',
      '# TYPE app_requests_total counter',
      'app_requests_total{status="200",path="a\\"b\\\\c\\nd"} 3',
      'app_requests_total{status="404",path=""} 1',
      '# HELP app_waiting Waiting.',
      '# TYPE app_waiting gauge',
      'app_waiting 7',
      '# HELP app_odd Odd values.',
      '# TYPE app_odd gauge',
      'app_odd NaN',
      'app_odd +Inf',
      'app_odd -Inf',
      '# HELP app_duration_seconds Durations.',
      '# TYPE app_duration_seconds histogram',
      'app_duration_seconds_bucket{le="0.1"} 2',
      'app_duration_seconds_bucket{le="1"} 3',
      'app_duration_seconds_bucket{le="+Inf"} 4',
      'app_duration_seconds_sum 3.65',
      'app_duration_seconds_count 4',
      ''
    ].join('\n'))
  })
})
