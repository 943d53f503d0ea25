import type { Arrow, Copy, Layer, LayerPlace, LogCell } from './cluster-source.ts'
import { parseCluster } from './cluster-source.ts'
import type { Box, Ink, Point } from './svg.ts'
import { badge, line, picture, rectangle, text } from './svg.ts'

const margin = 20
const copyWidth = 250
const copyGap = 85
const copyTop = 96
const headerHeight = 38
const layerHeight = 72
const layerGap = 32
const layerInset = 14
const clientBox: Box = { x: margin + 60, y: 20, width: copyWidth - 120, height: 30 }
/** Between a request and its answer. */
const laneDistance = 34
const legendRowHeight = 24
const cellSize = 26
const cellPitch = 30
const keyPitch = 150

interface CellInks {
  readonly fill: Ink
  readonly stroke: Ink
  readonly index: Ink
}

const cellInks: Readonly<Record<LogCell['state'], CellInks>> = {
  committed: { fill: 'good-soft', stroke: 'good', index: 'text' },
  new: { fill: 'leader-soft', stroke: 'leader', index: 'text' },
  missing: { fill: 'card', stroke: 'rule', index: 'muted' }
}

/** Draws how the copies of one app hang together, from cluster.txt. Throws on a line that it does not understand. */
export function drawCluster (source: string): string {
  const { title, layers, copies, arrows, keys, steps } = parseCluster(source)
  const panelHeight = headerHeight + layers.length * (layerHeight + layerGap) - layerGap + layerInset
  const legendTop = copyTop + panelHeight + 36
  const width = 2 * margin + copies.length * (copyWidth + copyGap) - copyGap
  const height = legendTop + Math.ceil(steps.length / 2) * legendRowHeight
  const clientCenter = centerOf(clientBox)
  return picture({ width, height }, title, [
    ...copies.map((copy, index) => drawCopy(copy, index, layers, panelHeight)),
    rectangle(clientBox, 'panel', 'rule'),
    text({ x: clientCenter.x, y: clientCenter.y + 5 }, 'client', { anchor: 'middle' }),
    ...keys.map(([cell, label], index) => drawKey(cell, label, index)),
    ...arrows.map((arrow) => drawArrow(arrow)),
    ...steps.map(([number, meaning], index) => drawStep(number, meaning, legendPlace(index, legendTop, width)))
  ])
}

function drawCopy ({ id, role, log }: Copy, copy: number, layers: readonly Layer[], height: number): string {
  const isLeader = role === 'leader'
  const x = leftOf(copy)
  const ink = isLeader ? 'leader' : 'rule'
  const roleStyle = { ink: isLeader ? 'leader' : 'muted', anchor: 'end', bold: isLeader } as const
  return [
    rectangle({ x, y: copyTop, width: copyWidth, height }, 'panel', ink, { radius: 10 }),
    text({ x: x + layerInset, y: copyTop + 25 }, id, { size: 16, bold: true }),
    text({ x: x + copyWidth - layerInset, y: copyTop + 25 }, role, roleStyle),
    ...layers.map(({ id: layerId, label }, layer) => {
      const box = boxOf({ kind: 'layer', copy, layer })
      const center = centerOf(box)
      const isLog = layerId === 'log'
      const at = { x: center.x, y: isLog ? box.y + 22 : center.y + 5 }
      return rectangle(box, 'card', ink) + text(at, label, { anchor: 'middle' }) + (isLog ? drawLog(log, box) : '')
    })
  ].join('\n')
}

function drawLog (cells: readonly LogCell[], box: Box): string {
  const left = centerOf(box).x - (cells.length * cellPitch - (cellPitch - cellSize)) / 2
  return cells.map((cell, position) => drawCell(cell, { x: left + position * cellPitch, y: box.y + 34 })).join('')
}

function drawCell ({ index, state }: LogCell, { x, y }: Point): string {
  const inks = cellInks[state]
  const box = { x, y, width: cellSize, height: cellSize }
  return rectangle(box, inks.fill, inks.stroke, { radius: 3, dashed: state === 'missing' }) +
    text({ x: x + cellSize / 2, y: y + 18 }, index, { ink: inks.index, size: 12, anchor: 'middle', mono: true })
}

function drawKey (cell: LogCell, label: string, index: number): string {
  const place = { x: leftOf(1) + index * keyPitch, y: clientBox.y + 2 }
  return drawCell(cell, place) + text({ x: place.x + cellSize + 8, y: place.y + 18 }, label, { ink: 'muted' })
}

function drawArrow (arrow: Arrow): string {
  const { from, to } = arrow
  if (from.kind === 'client') return to.kind === 'client' ? '' : drawClientArrow(arrow, to)
  if (to.kind === 'client') return drawClientArrow(arrow, from)
  return from.copy === to.copy ? drawWithinCopy(arrow, from, to) : drawBetweenCopies(arrow, boxOf(from), boxOf(to))
}

/** A request goes down to the left of the middle, its answer up to the right of it. */
function drawClientArrow ({ step, isAnswer, label }: Arrow, layer: LayerPlace): string {
  const x = centerOf(clientBox).x + (isAnswer ? laneDistance : -laneDistance)
  const top = { x, y: clientBox.y + clientBox.height }
  const bottom = { x, y: boxOf(layer).y }
  const middle = { x, y: top.y + 24 }
  const labelPlace = { x: x + (isAnswer ? 16 : -16), y: middle.y + 4 }
  return line(isAnswer ? bottom : top, isAnswer ? top : bottom, 'text', { arrow: true }) + badge(middle, step) +
    text(labelPlace, label, { size: 12, anchor: isAnswer ? 'start' : 'end' })
}

/** A row of short arrows, one between each two layers: down on the left, up on the right. The first has the number. */
function drawWithinCopy ({ step, label }: Arrow, from: LayerPlace, to: LayerPlace): string {
  const isDown = to.layer > from.layer
  const upper = Math.min(from.layer, to.layer)
  return Array.from({ length: Math.abs(to.layer - from.layer) }, (_value, index) => {
    const box = boxOf({ ...from, layer: upper + index })
    const x = centerOf(box).x + (isDown ? -60 : 60)
    const top = { x, y: box.y + layerHeight }
    const bottom = { x, y: top.y + layerGap }
    const middle = top.y + layerGap / 2
    return line(isDown ? top : bottom, isDown ? bottom : top, 'text', { arrow: true }) +
      (index === 0 ? badge({ x: x - 20, y: middle }, step) : '') +
      text({ x: x + 10, y: middle + 4 }, label, { size: 12 })
  }).join('')
}

/** An answer runs below what it answers. The label stands over its arrow. */
function drawBetweenCopies ({ step, isAnswer, label }: Arrow, from: Box, to: Box): string {
  const isRight = to.x > from.x
  const y = centerOf(from).y + (isAnswer ? laneDistance / 2 : -laneDistance / 2)
  const start = { x: isRight ? from.x + from.width : from.x, y }
  const end = { x: isRight ? to.x : to.x + to.width, y }
  const middle = { x: (start.x + end.x) / 2, y }
  return line(start, end, 'text', { arrow: true }) + badge(middle, step) +
    text({ x: middle.x, y: y - 13 }, label, { size: 12, anchor: 'middle' })
}

function drawStep (number: string, meaning: string, { x, y }: Point): string {
  return badge({ x: x + 9, y: y - 4 }, number) + text({ x: x + 26, y }, meaning)
}

function legendPlace (index: number, top: number, width: number): Point {
  return { x: index % 2 === 0 ? margin : width / 2 + 4, y: top + Math.floor(index / 2) * legendRowHeight }
}

function leftOf (copy: number): number {
  return margin + copy * (copyWidth + copyGap)
}

function boxOf ({ copy, layer }: LayerPlace): Box {
  const y = copyTop + headerHeight + layer * (layerHeight + layerGap)
  return { x: leftOf(copy) + layerInset, y, width: copyWidth - 2 * layerInset, height: layerHeight }
}

function centerOf ({ x, y, width, height }: Box): Point {
  return { x: x + width / 2, y: y + height / 2 }
}
