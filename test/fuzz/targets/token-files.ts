import { createHash } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readTokensFile } from '../../../src/plugin/options/tokens.ts'
import type { SimRandom } from '../../sim/random.ts'
import type { Fuzzed, Outcome, Target } from '../target.ts'
import { accepted, BrokenRule, refused } from '../target.ts'
import { editText, strangeText, textEdit, wildJson } from '../values.ts'

/** The content of a tokens file, and who may read it. */
export interface TokenFileInput {
  readonly text: string
  readonly mode: number
}

function tokenJson (random: SimRandom): string {
  const token = Buffer.from(Array.from({ length: 32 }, () => random.between(0, 255))).toString('base64url')
  const shown = random.chance(0.5)
    ? { token: random.chance(0.9) ? token : strangeText(random) }
    : { sha256: random.chance(0.9) ? createHash('sha256').update(token).digest('hex') : strangeText(random) }
  return JSON.stringify({
    name: random.chance(0.9) ? `t${random.between(1, 5)}` : strangeText(random),
    role: random.chance(0.9) ? random.pick(['read', 'data', 'admin']) : strangeText(random),
    ...shown
  })
}

class FuzzedTokenFiles implements Fuzzed<TokenFileInput> {
  readonly #directory = mkdtempSync(join(tmpdir(), 'raft-fuzz-'))

  make (random: SimRandom): TokenFileInput {
    const list = `[${Array.from({ length: random.pick([0, 1, 1, 2, 3]) }, () => tokenJson(random)).join(',')}]`
    const text = random.chance(0.15) ? wildJson(random) : random.chance(0.3) ? editText(list, [textEdit(random)]) : list
    return { text, mode: random.chance(0.95) ? 0o600 : 0o644 }
  }

  async run ({ text, mode }: TokenFileInput): Promise<Outcome> {
    const path = join(this.#directory, 'tokens')
    writeFileSync(path, text)
    chmodSync(path, mode)
    const reading = readTokensFile(path)
    if (reading.kind === 'tokens') return accepted('tokens')
    const secrets = [...text.matchAll(/"(?:token|sha256)":"([\w-]{20,})"/g)].map(([, secret = '']) => secret)
    const told = reading.messages.find((message) => secrets.some((secret) => message.includes(secret)))
    if (told !== undefined) throw new BrokenRule('a fault tells no token', told)
    return refused('fault')
  }

  async close (): Promise<void> {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** Files with tokens. */
export const tokenFiles: Target<TokenFileInput> = {
  name: 'token-files',
  share: 1,
  open: async () => new FuzzedTokenFiles()
}
