import type { FailoverRun } from './failover-run.ts'
import { parseRun } from './failover-run.ts'
import type { Point } from './svg.ts'
import { dot, line, picture, rectangle, text } from './svg.ts'

type Scale = (ms: number) => number

const width = 960
const plot = { left: 112, right: 936 } as const
const plotMiddle = (plot.left + plot.right) / 2
const firstRowTop = 80
const rowPitch = 66
const barHeight = 24
const gateway = 'gateway'

/** Draws the time line of a run, from the output of `npm run demo`. Throws when a line that it needs is missing. */
export function drawFailover (output: string): string {
  const run = parseRun(output)
  const rows = [...run.nodes, gateway]
  const scale = scaleOf(run)
  const kill = scale(0)
  const axisTop = firstRowTop + rows.length * rowPitch - 8
  const outageMs = Math.min(...run.nextOrders.map(({ afterMs }) => afterMs))
  const bandTop = firstRowTop - 32
  const band = { x: kill, y: bandTop, width: scale(outageMs) - kill, height: axisTop - bandTop }
  const title = `The leader is killed while clients write: ${run.killed} at 0 s, ${run.newLeader} leads next`
  const [verdict, detail] = conclusion(run)
  return picture({ width, height: axisTop + 92 }, title, [
    rectangle(band, 'bad-soft', null, { radius: 0 }),
    text({ x: kill - 8, y: 36 }, `SIGKILL to the leader, ${run.killed}`, { ink: 'bad', bold: true, anchor: 'end' }),
    text({ x: kill + 8, y: 36 }, `${inMs(outageMs)} until the next order is accepted`, { ink: 'bad', bold: true }),
    ...rows.map((row, index) => drawRow(row, firstRowTop + index * rowPitch, run, scale)),
    line({ x: kill, y: 20 }, { x: kill, y: axisTop }, 'bad'),
    ...drawAxis(run, scale, axisTop),
    text({ x: 20, y: axisTop + 60 }, verdict, { bold: true }),
    text({ x: 20, y: axisTop + 80 }, detail, { ink: 'muted', size: 12 })
  ])
}

/** From milliseconds to x, in whole units. */
function scaleOf ({ clientsStartMs, clientsStopMs }: FailoverRun): Scale {
  const unitsPerMs = (plot.right - plot.left) / (clientsStopMs - clientsStartMs)
  return (ms) => Math.round(plot.left + (ms - clientsStartMs) * unitsPerMs)
}

function drawRow (row: string, top: number, run: FailoverRun, scale: Scale): string {
  const middle = top + barHeight / 2
  const next = run.nextOrders.find(({ through }) => through === row)
  return [
    text({ x: 20, y: middle + 5 }, row, { bold: row !== gateway }),
    row === run.killed ? drawKilled(top, run, scale) : drawSurvivor(row, top, run, scale),
    next === undefined ? '' : drawNextOrder({ x: scale(next.afterMs), y: middle }, next.afterMs)
  ].join('\n')
}

function drawNextOrder ({ x, y }: Point, afterMs: number): string {
  const label = `next order after ${inMs(afterMs)}`
  return dot({ x, y }, 6, 'good') + text({ x, y: y + barHeight / 2 + 18 }, label, { ink: 'good', size: 12 })
}

function drawSurvivor (row: string, top: number, run: FailoverRun, scale: Scale): string {
  const start = scale(run.clientsStartMs)
  const end = scale(run.clientsStopMs)
  const role = row === gateway ? 'forwards' : 'follower'
  if (row !== run.newLeader) return bar(start, end, top, role, false)
  // It leads when it executes an order at the latest, which may be before the demo has asked.
  const executedMs = run.nextOrders.filter(({ executedBy }) => executedBy === row).map(({ afterMs }) => afterMs)
  const leads = scale(Math.min(run.leaderSeenMs, ...executedMs))
  const own = run.nextOrders.find(({ through }) => through === row)
  const labelX = 10 + Math.max(leads, own === undefined ? leads : scale(own.afterMs) + 6)
  return bar(start, leads, top, role, false) + bar(leads, end, top, 'leader', true, labelX)
}

function drawKilled (top: number, run: FailoverRun, scale: Scale): string {
  const middle = top + barHeight / 2
  const restarted = scale(run.restartMs)
  const caughtUp = scale(run.restartMs + run.catchUpMs)
  const anchor = caughtUp > plotMiddle ? 'end' : 'start'
  const label = `caught up ${inMs(run.catchUpMs)} after its start`
  return bar(scale(run.clientsStartMs), scale(0), top, 'leader', true) +
    line({ x: scale(0), y: middle }, { x: restarted, y: middle }, 'bad', { dashed: true }) +
    bar(restarted, scale(run.clientsStopMs), top, '', false) +
    text({ x: restarted, y: top - 7 }, 'started again on its old data', { ink: 'muted', size: 12 }) +
    dot({ x: caughtUp, y: middle }, 6, 'leader') +
    text({ x: caughtUp, y: top + barHeight + 18 }, label, { ink: 'leader', size: 12, anchor })
}

function bar (from: number, to: number, top: number, label: string, isLeader: boolean, labelX = from + 10): string {
  const box = { x: from, y: top, width: to - from, height: barHeight }
  const style = { ink: isLeader ? 'leader' : 'muted', size: 12, bold: isLeader } as const
  return rectangle(box, isLeader ? 'leader-soft' : 'panel', isLeader ? 'leader' : 'rule', { radius: 4 }) +
    text({ x: labelX, y: top + 16 }, label, style)
}

function drawAxis ({ clientsStartMs, clientsStopMs }: FailoverRun, scale: Scale, top: number): string[] {
  const first = Math.ceil(clientsStartMs / 1_000)
  const ticks = Array.from({ length: Math.floor(clientsStopMs / 1_000) - first + 1 }, (_value, index) => first + index)
  return [
    line({ x: plot.left, y: top }, { x: plot.right, y: top }, 'rule'),
    ...ticks.map((second) => {
      const x = scale(1_000 * second)
      const sign = second > 0 ? '+' : second < 0 ? '−' : ''
      return line({ x, y: top }, { x, y: top + 6 }, 'rule') +
        text({ x, y: top + 22 }, `${sign}${Math.abs(second)} s`, { ink: 'muted', size: 12, anchor: 'middle' })
    })
  ]
}

function conclusion (run: FailoverRun): readonly [verdict: string, detail: string] {
  const { acknowledged, nodes, newLeader, token } = run
  const count = grouped(acknowledged)
  const everywhere = `${nodes.slice(0, -1).join(', ')} and ${nodes.at(-1) ?? ''}`
  return [
    `${count} of ${count} acknowledged orders are on ${everywhere}, and the outbox sent each of them exactly once.`,
    `The outbox, a singleton task, went on at ${newLeader} under fencing token ${token}. One run of npm run demo.`
  ]
}

function inMs (ms: number): string {
  return `${grouped(ms)} ms`
}

function grouped (value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',')
}
