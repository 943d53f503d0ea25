import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readSecrets } from '../../../src/raft/trust/secret.ts'
import { readSecretFile } from '../../../src/raft/trust/secret-file.ts'
import type { SimRandom } from '../../sim/random.ts'
import { flipped } from '../bytes.ts'
import type { Fuzzed, Outcome, Target } from '../target.ts'
import { accepted, BrokenRule, refused } from '../target.ts'
import { editText, noise, strangeText, textEdit } from '../values.ts'

/** The content of a secret file, and who may read it. */
export interface SecretFileInput {
  readonly content: Uint8Array
  readonly mode: number
}

function secretText (random: SimRandom): string {
  const length = random.pick([32, 32, 32, 31, 33, 64, 0])
  const bytes = Buffer.from(Array.from({ length }, () => random.between(0, 255)))
  return bytes.toString(random.pick(['hex', 'base64', 'base64url']))
}

class FuzzedSecretFiles implements Fuzzed<SecretFileInput> {
  readonly #directory = mkdtempSync(join(tmpdir(), 'raft-fuzz-'))

  make (random: SimRandom): SecretFileInput {
    const lines = Array.from({ length: random.pick([0, 1, 1, 1, 2, 2, 3, 300]) }, () =>
      random.chance(0.9) ? secretText(random) : strangeText(random))
    if (lines.length > 0 && random.chance(0.1)) lines.push(lines[0] ?? '')
    const text = lines.join(random.pick(['\n', '\n', '\r\n', '\n\n', '\r', ' ']))
    const edited = random.chance(0.3) ? editText(text, [textEdit(random)]) : text
    const content = random.chance(0.1) ? noise(random) : Buffer.from(edited, 'utf8')
    return {
      content: random.chance(0.1) ? flipped(random, content) : Uint8Array.from(content),
      mode: random.chance(0.95) ? 0o600 : 0o644
    }
  }

  async run ({ content, mode }: SecretFileInput): Promise<Outcome> {
    const path = join(this.#directory, 'secret')
    writeFileSync(path, content)
    chmodSync(path, mode)
    const reading = readSecretFile(path, readSecrets)
    if (reading.kind === 'secrets') {
      const { length } = reading.current
      if (length < 1 || length > 2) throw new BrokenRule('one secret or two', String(length))
      return accepted(`${length} secrets`)
    }
    const lines = Buffer.from(content).toString('utf8').split(/\s+/).filter((line) => line.length > 15)
    if (lines.some((line) => reading.message.includes(line))) {
      throw new BrokenRule('a fault tells no secret', reading.message)
    }
    return refused('fault')
  }

  async close (): Promise<void> {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** Secret files. */
export const secretFiles: Target<SecretFileInput> = {
  name: 'secret-files',
  share: 1,
  open: async () => new FuzzedSecretFiles()
}
