/** The code of a system error, for example `ENOENT`; undefined for anything else. */
export function systemErrorCode (error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
