import type { History } from '../history.ts'
import type { KeyValueInput, KeyValueOutput } from '../models/key-value.ts'
import { PairedLines } from './paired-lines.ts'

const linePattern =
  /^\{:process (\d+), :type :(invoke|ok), :f :(get|put|append), :key ("[^"]*"), :value (nil|"[^"]*")\}$/

/** Reads a history of strings by key, one EDN-like map a line. */
export function parseKeyValueLog (text: string): History<KeyValueInput, KeyValueOutput> {
  const lines = new PairedLines<KeyValueInput, KeyValueOutput>()
  for (const line of text.split('\n').filter((candidate) => candidate !== '')) {
    const [, process, type, operation, quotedKey, quotedValue] = linePattern.exec(line) ?? []
    if (process === undefined || quotedKey === undefined || quotedValue === undefined) {
      throw new Error(`not a line of a key-value log: ${line}`)
    }
    const value = quotedValue === 'nil' ? '' : quotedValue.slice(1, -1)
    if (type === 'ok') lines.complete(process, operation === 'get' ? { kind: 'got', value } : { kind: 'stored' })
    else lines.invoke(process, inputOf(operation, quotedKey.slice(1, -1), value))
  }
  return lines.history()
}

function inputOf (operation: string | undefined, key: string, value: string): KeyValueInput {
  switch (operation) {
    case 'put': return { kind: 'put', key, value }
    case 'append': return { kind: 'append', key, value }
    default: return { kind: 'get', key }
  }
}
