import type { History } from '../history.ts'
import type { RegisterInput, RegisterOutput } from '../models/register.ts'
import { PairedLines } from './paired-lines.ts'

const linePattern = /^INFO {2}jepsen\.util - (\d+)\t:(invoke|ok|fail|info)\t:(read|write|cas)\t(.+)$/

/** Reads a Jepsen log of one etcd register. */
export function parseEtcdLog (text: string): History<RegisterInput, RegisterOutput> {
  const lines = new PairedLines<RegisterInput, RegisterOutput>()
  for (const line of text.split('\n').filter((candidate) => candidate !== '')) {
    const [, process, type, operation, value] = linePattern.exec(line) ?? []
    if (process === undefined || operation === undefined || value === undefined) {
      throw new Error(`not a line of a Jepsen log: ${line}`)
    }
    switch (type) {
      case 'invoke':
        lines.invoke(process, inputOf(operation, value))
        break
      case 'ok':
        lines.complete(process, outputOf(operation, value, true))
        break
      case 'fail':
        // A comparison that failed is an observation; a read that failed saw nothing and did nothing.
        if (operation === 'cas') lines.complete(process, outputOf(operation, value, false))
        else lines.fail(process)
        break
      default:
        lines.unknown(process)
    }
  }
  return lines.history()
}

function inputOf (operation: string, value: string): RegisterInput {
  switch (operation) {
    case 'read': return { kind: 'read' }
    case 'write': return { kind: 'write', value: wholeNumber(value) }
    default: {
      const [, expected = '', wanted = ''] = /^\[(\S+) (\S+)\]$/.exec(value) ?? []
      return { kind: 'compare-and-set', expected: wholeNumber(expected), value: wholeNumber(wanted) }
    }
  }
}

function outputOf (operation: string, value: string, wasEqual: boolean): RegisterOutput {
  switch (operation) {
    case 'read': return { kind: 'read', value: value === 'nil' ? null : wholeNumber(value) }
    case 'write': return { kind: 'written' }
    default: return { kind: 'compared', wasEqual }
  }
}

function wholeNumber (text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`not a whole number: ${text}`)
  return Number(text)
}
