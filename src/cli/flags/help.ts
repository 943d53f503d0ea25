import type { CommandDefinition } from './definition.ts'
import type { CommandName, Flag } from './flag-values.ts'

const width = 100
const minTextWidth = 30
const gap = 2

const helpFlag: Flag = { text: 'this text' }

/** The text of `fastify-raft --help`. */
export function generalHelp (
  definitions: readonly { readonly name: CommandName, readonly summary: string }[]
): string {
  return [
    'Usage: fastify-raft <command> [options]',
    '',
    'Commands:',
    ...columns(definitions.map(({ name, summary }) => ({ label: name, text: summary, variable: '' }))),
    '',
    'Options:',
    ...columns([
      { label: '-h, --help', text: 'this text; "fastify-raft <command> --help" says more', variable: '' },
      { label: '-v, --version', text: 'the version', variable: '' }
    ])
  ].join('\n')
}

/** The text of `fastify-raft <command> --help`, generated from the definition of the command. */
export function helpOf ({ name, usage, about, flags, sections = {} }: CommandDefinition<unknown>): string {
  return [
    `Usage: fastify-raft ${name} ${usage}`.trimEnd(),
    ...about.flatMap((paragraph) => ['', ...wrap(paragraph, width)]),
    '',
    'Options:',
    ...columns([
      ...Object.entries(flags).map(([flag, definition]) => rowOf(`--${flag}`, definition)),
      rowOf('-h, --help', helpFlag)
    ]),
    ...Object.entries(sections).flatMap(([title, lines]) => ['', `${title}:`, ...lines.map((line) => `  ${line}`)])
  ].join('\n')
}

interface Row {
  readonly label: string
  readonly text: string
  readonly variable: string
}

function rowOf (label: string, flag: Flag): Row {
  const byDefault = flag.default ?? flag.pluginDefault
  const variable = flag.variable ?? ''
  return {
    label: flag.value === undefined ? label : `${label} ${flag.value}`,
    text: byDefault === undefined ? flag.text : `${flag.text} (default: ${byDefault})`,
    // A switch has no value to put into its variable but this one.
    variable: flag.value === undefined && variable !== '' ? `${variable}=true` : variable
  }
}

/** Label, text and variable of each row side by side; long texts go on below. */
function columns (rows: readonly Row[]): string[] {
  const widthOf = (cell: (row: Row) => string): number => Math.max(...rows.map((row) => cell(row).length))
  const labelWidth = widthOf((row) => row.label)
  const variableWidth = widthOf((row) => row.variable)
  const textWidth = Math.max(minTextWidth, width - labelWidth - variableWidth - 3 * gap)
  const wrapped = rows.map((row) => ({ ...row, lines: wrap(row.text, textWidth) }))
  const usedWidth = Math.max(...wrapped.flatMap(({ lines }) => lines.map((line) => line.length)))
  const indent = ' '.repeat(gap)
  return wrapped.flatMap(({ label, variable, lines }) => lines.map((line, index) => [
    '',
    (index === 0 ? label : '').padEnd(labelWidth),
    line.padEnd(usedWidth),
    index === 0 ? variable : ''
  ].join(indent).trimEnd()))
}

function wrap (text: string, columnWidth: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columnWidth) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}
