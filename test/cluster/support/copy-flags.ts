/** What each copy of an application is told by the one who starts it: `createNodes` of app-nodes.ts does. */
export const copyFlags = {
  id: { type: 'string', default: 'n1' },
  members: { type: 'string', default: '' },
  'data-dir': { type: 'string', default: '' }
} as const

/** The options of the plugin that follow, and where the copy listens. */
export function copyOf ({ id, members: list, 'data-dir': dataDir }: {
  readonly id: string
  readonly members: string
  readonly 'data-dir': string
}) {
  const members = list.split(',').map((member) => {
    const [id = '', url = ''] = member.split('=')
    return { id, url }
  })
  const { hostname: host, port } = new URL(members.find((member) => member.id === id)?.url ?? '')
  return { options: { id, members, dataDir }, address: { host, port: Number(port) } }
}
