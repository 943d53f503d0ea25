import { describe, expect, it } from 'vitest'
import { definitions, parseCommandLine } from '../../../src/cli/flags/command-line.ts'
import { helpOf } from '../../../src/cli/flags/help.ts'
import { optionsSchema } from '../../../src/plugin/index.ts'

function help (...argv: readonly string[]): string {
  const command = parseCommandLine([...argv, '--help'], {})
  if (command.kind !== 'print') throw new Error('no help')
  return command.text
}

/** A help text without line breaks and columns. */
function unwrapped (text: string): string {
  return text.replace(/\s+/g, ' ')
}

describe('the general help', () => {
  it.each(definitions)('says what $name is for', ({ name, summary }) => {
    expect(help()).toMatch(new RegExp(`^  ${name} +${summary.replace(/[()]/g, '\\$&')}$`, 'm'))
  })
})

describe.each(definitions)('the help of $name', ({ name, about, flags, sections }) => {
  it('starts with its use and says what it does', () => {
    expect(help(name)).toMatch(new RegExp(`^Usage: fastify-raft ${name}[ \\n]`))
    for (const paragraph of about) expect(unwrapped(help(name))).toContain(paragraph)
    for (const line of Object.values(sections ?? {}).flat()) expect(help(name)).toContain(`  ${line}\n`.trimEnd())
  })

  it('names every flag once, with its value, default and environment variable', () => {
    const options = help(name).split('Options:\n')[1]?.split('\n\n')[0] ?? ''
    const lines = options.split('\n')
    for (const [flag, { value, variable, ...rest }] of Object.entries(flags)) {
      const label = value === undefined ? `--${flag}` : `--${flag} ${value}`
      const found = lines.filter((line) => line.startsWith(`  ${label} `))
      expect(found, label).toHaveLength(1)
      if (variable !== undefined) expect(found[0]).toMatch(new RegExp(` ${variable}${value === undefined ? '=true' : ''}$`))
      const byDefault = rest.default ?? rest.pluginDefault
      if (byDefault !== undefined) expect(options).toContain(`${byDefault})`)
    }
    expect(lines.filter((line) => /^ {2}-/.test(line))).toHaveLength(Object.keys(flags).length + 1)
  })

  it('fits into a terminal', () => {
    expect(help(name).split('\n').filter((line) => line.length > 105)).toEqual([])
    expect(help(name)).not.toMatch(/ $/m)
  })

  it('shows the defaults that the plugin has', () => {
    for (const [flag, { pluginDefault }] of Object.entries(flags)) {
      if (pluginDefault === undefined) continue
      const option = flag.replace(/-(\w)/g, (_match, letter: string) => letter.toUpperCase())
      const schema = Object.entries(optionsSchema.properties).find(([known]) => known === option)?.[1]
      expect(schema, option).toHaveProperty('default')
      expect(pluginDefault).toBe(String((schema as { readonly default?: unknown }).default))
    }
  })
})

describe('a help text', () => {
  it('puts long texts below each other, and the variable beside the first line', () => {
    const text = helpOf({
      name: 'wal',
      summary: '',
      usage: '<file>',
      about: ['One.', 'Two.'],
      words: 1,
      flags: {
        long: { value: '<text>', text: Array(30).fill('word').join(' '), variable: 'LONG' },
        short: { text: 'short' }
      },
      read: () => null
    })
    expect(text.split('\n').map((line) => line.replace(/(word ?)+/, 'words'))).toEqual([
      'Usage: fastify-raft wal <file>',
      '',
      'One.',
      '',
      'Two.',
      '',
      'Options:',
      expect.stringMatching(/^ {2}--long <text> {2}words +LONG$/) as string,
      '                 words',
      '  --short        short',
      '  -h, --help     this text'
    ])
  })
})
