/** One place of a log. */
export interface LogCell {
  readonly index: string
  readonly state: 'committed' | 'new' | 'missing'
}

/** A part of every copy. */
export interface Layer {
  readonly id: string
  readonly label: string
}

/** One copy of the app. */
export interface Copy {
  readonly id: string
  readonly role: string
  readonly log: readonly LogCell[]
}

/** One layer of one copy, both by their place in the lists. */
export interface LayerPlace {
  readonly kind: 'layer'
  readonly copy: number
  readonly layer: number
}

/** Where an arrow starts or ends. */
export type Place = { readonly kind: 'client' } | LayerPlace

/** An arrow, and the step that it belongs to. */
export interface Arrow {
  readonly step: string
  readonly from: Place
  readonly to: Place
  readonly isAnswer: boolean
  readonly label: string
}

/** The statements of cluster.txt. */
export interface ClusterSource {
  readonly title: string
  readonly layers: readonly Layer[]
  readonly copies: readonly Copy[]
  readonly arrows: readonly Arrow[]
  readonly keys: ReadonlyArray<readonly [cell: LogCell, label: string]>
  readonly steps: ReadonlyArray<readonly [number: string, meaning: string]>
}

/** Reads cluster.txt, whose comments explain its form. Throws on a line that it does not understand. */
export function parseCluster (source: string): ClusterSource {
  const fieldsOf = fieldsByKind(source)
  const layers = fieldsOf('layer').map(([id = '', label = '']) => ({ id, label }))
  const copies = fieldsOf('copy').map(([id = '', role = '', log = '']) => {
    return { id, role, log: log.split(/\s+/).map(cellOf) }
  })
  const place = (name: string): Place => placeOf(name, copies, layers)
  return {
    title: fieldsOf('title')[0]?.[0] ?? '',
    layers,
    copies,
    arrows: fieldsOf('arrow').map(([step = '', ends = '', label = '']) => {
      const isAnswer = ends.includes('<')
      const [left = '', right = ''] = ends.split(/[<>]/).map((end) => end.trim())
      return { step, from: place(isAnswer ? right : left), to: place(isAnswer ? left : right), isAnswer, label }
    }),
    keys: fieldsOf('key').map(([cell = '', label = '']) => [cellOf(cell), label] as const),
    steps: fieldsOf('step').map(([number = '', meaning = '']) => [number, meaning] as const)
  }
}

/** The fields of all statements of a kind, in order. */
function fieldsByKind (source: string): (kind: string) => ReadonlyArray<readonly string[]> {
  const kinds = new Map<string, Array<readonly string[]>>()
  source.split('\n').forEach((line, index) => {
    if (line.trim() === '' || line.startsWith('#')) return
    const [, kind, rest = ''] = /^(title|layer|copy|arrow|key|step): *(.*)$/.exec(line) ?? []
    if (kind === undefined) throw new SyntaxError(`line ${index + 1} is not understood: ${line}`)
    kinds.set(kind, [...kinds.get(kind) ?? [], rest.split('|').map((field) => field.trim())])
  })
  return (kind) => kinds.get(kind) ?? []
}

function cellOf (text: string): LogCell {
  const index = text.replace(/[+?]$/, '')
  return { index, state: text.endsWith('+') ? 'new' : text.endsWith('?') ? 'missing' : 'committed' }
}

function placeOf (name: string, copies: readonly Copy[], layers: readonly Layer[]): Place {
  if (name === 'client') return { kind: 'client' }
  const [copyId, layerId] = name.split('.')
  const copy = copies.findIndex(({ id }) => id === copyId)
  const layer = layers.findIndex(({ id }) => id === layerId)
  if (copy === -1 || layer === -1) throw new SyntaxError(`no copy and layer is called ${name}`)
  return { kind: 'layer', copy, layer }
}
