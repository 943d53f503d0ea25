import type { Target } from './target.ts'
import { adminRoutesTarget } from './targets/admin-routes.ts'
import { commands } from './targets/commands.ts'
import { hellos } from './targets/hellos.ts'
import { hopFields } from './targets/hop-fields.ts'
import { logFiles } from './targets/log-files.ts'
import { openPeers, sealedPeers } from './targets/peers.ts'
import { secretFiles } from './targets/secret-files.ts'
import { snapshotFiles } from './targets/snapshot-files.ts'
import { states } from './targets/states.ts'
import { tokenFiles } from './targets/token-files.ts'

/** All ways by which inputs from outside come in. */
export const targets: readonly Target[] = [
  openPeers,
  sealedPeers,
  hellos,
  hopFields,
  adminRoutesTarget,
  logFiles,
  snapshotFiles,
  states,
  commands,
  secretFiles,
  tokenFiles
]
