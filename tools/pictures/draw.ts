import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { drawCluster } from './cluster.ts'
import { drawFailover } from './failover.ts'

// npm run pictures: draws every picture of docs/images from the text beside it. Runs in the root of the repository.

const folder = join('docs', 'images')
const pictures = [['cluster', drawCluster], ['failover', drawFailover]] as const

for (const [name, draw] of pictures) {
  writeFileSync(join(folder, `${name}.svg`), draw(readFileSync(join(folder, `${name}.txt`), 'utf8')))
}
