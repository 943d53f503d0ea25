/** A point of a picture, in its units: x to the right, y down. */
export interface Point {
  readonly x: number
  readonly y: number
}

/** A rectangle by its upper left corner. */
export interface Box extends Point {
  readonly width: number
  readonly height: number
}

/** What a picture uses colours for. Both themes have a colour for each. */
export type Ink =
  'card' | 'panel' | 'rule' | 'text' | 'muted' | 'leader' | 'leader-soft' | 'good' | 'good-soft' | 'bad' | 'bad-soft'

const light: Readonly<Record<Ink, string>> = {
  card: '#ffffff',
  panel: '#f6f8fa',
  rule: '#d1d9e0',
  text: '#1f2328',
  muted: '#59636e',
  leader: '#0969da',
  'leader-soft': '#ddf4ff',
  good: '#1a7f37',
  'good-soft': '#dafbe1',
  bad: '#cf222e',
  'bad-soft': '#ffebe9'
}

const dark: Readonly<Record<Ink, string>> = {
  card: '#0d1117',
  panel: '#151b23',
  rule: '#3d444d',
  text: '#f0f6fc',
  muted: '#9198a1',
  leader: '#4493f8',
  'leader-soft': '#12253f',
  good: '#3fb950',
  'good-soft': '#12281d',
  bad: '#f85149',
  'bad-soft': '#321a1d'
}

/** Text between tags or in an attribute. */
export function escapeXml (text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** How a rectangle looks. */
export interface RectangleStyle {
  /** Of the corners. */
  readonly radius?: number
  readonly dashed?: boolean
}

/** A rectangle; without `stroke` it has no outline. */
export function rectangle (box: Box, fill: Ink, stroke: Ink | null = null, style: RectangleStyle = {}): string {
  const { x, y, width, height } = box
  const { radius = 6, dashed = false } = style
  const names = joined([`f-${fill}`, stroke === null ? '' : `s-${stroke}`, dashed ? 'dashed' : ''])
  return `<rect class="${names}" x="${x}" y="${y}" width="${width}" height="${height}" rx="${radius}"/>`
}

/** How a text looks. */
export interface TextStyle {
  readonly ink?: Ink
  readonly size?: 11 | 12 | 13 | 14 | 16
  readonly anchor?: 'start' | 'middle' | 'end'
  readonly bold?: boolean
  readonly mono?: boolean
}

/** One line of text; `y` is its base line. */
export function text ({ x, y }: Point, content: string, style: TextStyle = {}): string {
  const { ink = 'text', size = 13, anchor = 'start', bold = false, mono = false } = style
  const names = [`f-${ink}`, `t${size}`, anchor === 'start' ? '' : anchor, bold ? 'bold' : '', mono ? 'mono' : '']
  return `<text class="${joined(names)}" x="${x}" y="${y}">${escapeXml(content)}</text>`
}

/** How a line looks. */
export interface LineStyle {
  /** Whether it has an arrow head at its end. */
  readonly arrow?: boolean
  readonly dashed?: boolean
}

/** A horizontal or vertical line. */
export function line (from: Point, to: Point, ink: Ink, style: LineStyle = {}): string {
  const { arrow = false, dashed = false } = style
  const shaft = `<path class="s-${ink}${dashed ? ' dashed' : ''}" d="M${from.x} ${from.y}L${to.x} ${to.y}"/>`
  if (!arrow) return shaft
  const along = { x: Math.sign(to.x - from.x), y: Math.sign(to.y - from.y) }
  const back = { x: to.x - 8 * along.x, y: to.y - 8 * along.y }
  const left = `${back.x - 4 * along.y} ${back.y - 4 * along.x}`
  const right = `${back.x + 4 * along.y} ${back.y + 4 * along.x}`
  return `${shaft}<path class="f-${ink}" d="M${to.x} ${to.y}L${left}L${right}Z"/>`
}

/** A filled circle. */
export function dot ({ x, y }: Point, radius: number, ink: Ink): string {
  return `<circle class="f-${ink}" cx="${x}" cy="${y}" r="${radius}"/>`
}

/** The number of a step, in a circle. */
export function badge ({ x, y }: Point, content: string): string {
  const style = { ink: 'card', size: 12, anchor: 'middle', bold: true } as const
  return dot({ x, y }, 9, 'text') + text({ x, y: y + 4 }, content, style)
}

/**
 * A whole picture. It brings its own background and both colour schemes, so that it can be read on any page, also where
 * the page's scheme is not that of the browser.
 */
export function picture ({ width, height }: Omit<Box, 'x' | 'y'>, title: string, elements: readonly string[]): string {
  const background = rectangle({ x: 0.5, y: 0.5, width: width - 1, height: height - 1 }, 'card', 'rule', { radius: 10 })
  const size = `viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<style>${css()}</style>`,
    background,
    ...elements,
    '</svg>',
    ''
  ].join('\n')
}

function joined (names: readonly string[]): string {
  return names.filter((name) => name !== '').join(' ')
}

function css (): string {
  const rules = [
    'text{font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}',
    '.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}',
    '.bold{font-weight:600}',
    '.middle{text-anchor:middle}',
    '.end{text-anchor:end}',
    ...[11, 12, 13, 14, 16].map((size) => `.t${size}{font-size:${size}px}`),
    'path,rect{stroke-width:1.5}',
    '.dashed{stroke-dasharray:4 4}'
  ]
  return `${rules.join('')}${colours(light)}@media(prefers-color-scheme:dark){${colours(dark)}}`
}

function colours (theme: Readonly<Record<Ink, string>>): string {
  return Object.entries(theme).map(([ink, colour]) => `.f-${ink}{fill:${colour}}.s-${ink}{stroke:${colour}}`).join('')
}
