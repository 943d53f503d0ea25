import type { Logger } from '../../raft/index.ts'
import { FileWatch } from '../../raft/internal.ts'
import type { ResolvedTokens, Token } from '../options/tokens.ts'
import { readTokensFile } from '../options/tokens.ts'

/** The tokens that count at the moment. They may change, from one use to the next. */
export interface Tokens {
  readonly current: readonly Token[]
  readonly close: () => void
}

/** The tokens of a node; those of a file are read again when it changes. */
export function openTokens ({ current, file }: ResolvedTokens, logger: Logger): Tokens {
  return file === null ? { current, close: () => {} } : new TokenFile(file, current, logger)
}

/** What cannot be read when the file has changed is logged and changes nothing: the tokens of before go on. */
class TokenFile implements Tokens {
  #current: readonly Token[]
  readonly #path: string
  readonly #logger: Logger
  readonly #watch: FileWatch

  constructor (path: string, current: readonly Token[], logger: Logger) {
    this.#path = path
    this.#current = current
    this.#logger = logger
    this.#watch = new FileWatch({ paths: [path], changed: () => { this.#readAgain() }, logger })
  }

  get current (): readonly Token[] {
    return this.#current
  }

  close (): void {
    this.#watch.close()
  }

  #readAgain (): void {
    const reading = readTokensFile(this.#path)
    if (reading.kind === 'faults') {
      const reasons = reading.messages
      this.#logger.error({ reasons }, 'the file of tokens cannot be used: the tokens of before go on')
      return
    }
    const before = this.#current
    this.#current = reading.current
    if (isSameList(before, reading.current)) return
    const tokens = reading.current.map(({ name, role }) => ({ name, role }))
    this.#logger.info({ tokens }, 'the file of tokens was read again')
  }
}

function isSameList (one: readonly Token[], other: readonly Token[]): boolean {
  return one.length === other.length && one.every(({ name, role, digest }, index) => {
    const token = other[index]
    return token !== undefined && token.name === name && token.role === role && token.digest.equals(digest)
  })
}
