import type { Logger } from '../../raft/index.ts'
import { WatchedFiles } from '../../raft/internal.ts'
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

/** The tokens in a file, read again when it changes. */
class TokenFile extends WatchedFiles<readonly Token[]> {
  constructor (path: string, current: readonly Token[], logger: Logger) {
    super({
      paths: [path],
      current,
      read: () => {
        const reading = readTokensFile(path)
        return reading.kind === 'tokens'
          ? { kind: 'content', content: reading.current }
          : { kind: 'fault', details: { reasons: reading.messages } }
      },
      settle: (read, before) => isSameList(read, before) ? before : read,
      describe: (tokens) => ({ tokens: tokens.map(({ name, role }) => ({ name, role })) }),
      messages: {
        unusable: 'the file of tokens cannot be used: the tokens of before go on',
        readAgain: 'the file of tokens was read again'
      },
      logger
    })
  }
}

function isSameList (one: readonly Token[], other: readonly Token[]): boolean {
  return one.length === other.length && one.every(({ name, role, digest }, index) => {
    const token = other[index]
    return token !== undefined && token.name === name && token.role === role && token.digest.equals(digest)
  })
}
