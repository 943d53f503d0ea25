/** Splits a command into words as a shell does: by spaces outside of quotes. Throws on anything fancier. */
export function splitShell (command: string): string[] {
  if (/[|;<>$`\\*?~]/.test(command.replace(/'[^']*'/g, ''))) throw new Error(`Too fancy to check: ${command}`)
  return [...command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, plain]) => single ?? double ?? plain ?? ''
  )
}
