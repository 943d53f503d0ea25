/** A heading of a Markdown document. */
export interface Heading {
  /** 1 for `#`, 2 for `##` and so on. */
  readonly level: number
  readonly text: string
  /** The lines below it, up to the next heading of any level, without blank lines around them. */
  readonly body: string
}

/** The same text with fenced blocks and inline code blanked out, so that code is not taken for Markdown. */
export function withoutCode (markdown: string): string {
  let isInFence = false
  return markdown.split('\n').map((line) => {
    const isFence = line.startsWith('```')
    if (isFence) isInFence = !isInFence
    return isFence || isInFence ? '' : line.replace(/`[^`]*`/g, '``')
  }).join('\n')
}

/** All headings outside of fenced blocks, in order. */
export function headingsOf (markdown: string): readonly Heading[] {
  const lines = markdown.split('\n')
  const bare = withoutCode(markdown).split('\n')
  const places = bare.flatMap((line, index) => /^#{1,6} /.test(line) ? [index] : [])
  return places.map((place, index) => {
    const line = lines[place] ?? ''
    return {
      level: line.indexOf(' '),
      text: line.replace(/^#+ +/, '').trim(),
      body: lines.slice(place + 1, places[index + 1]).join('\n').trim()
    }
  })
}

/** The targets of all links and pictures, as they are written. */
export function linksIn (markdown: string): readonly string[] {
  const bare = withoutCode(markdown)
  const inline = [...bare.matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)/g)]
  const html = [...bare.matchAll(/\b(?:href|src|srcset)="([^"\s]+)"/g)]
  return [...inline, ...html].flatMap(([, target]) => target ?? [])
}

/** The anchors of a document as GitHub makes them: of each heading, numbered when a heading comes again. */
export function anchorsOf (markdown: string): ReadonlySet<string> {
  const counts = new Map<string, number>()
  const anchors = headingsOf(markdown).map(({ text }) => {
    const shown = text.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    const slug = shown.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-')
    const count = counts.get(slug) ?? 0
    counts.set(slug, count + 1)
    return count === 0 ? slug : `${slug}-${count}`
  })
  return new Set(anchors)
}
