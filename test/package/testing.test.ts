import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import ts from 'typescript'
import { describe, expect, it, onTestFinished } from 'vitest'
import { root, snippets } from '../docs/support/snippets.ts'

const run = promisify(execFile)

describe('the test kit, as it is built', () => {
  it('works under node:test: the example of the documents, with the other import', async () => {
    const example = snippets.find(({ place, language }) => place.startsWith('docs/testing.md') && language === 'ts')
    const code = example?.code.replace("import { it } from 'vitest'", "import { it } from 'node:test'") ?? ''
    expect(code).toContain('node:test')
    const { outputText } = ts.transpileModule(code, {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext }
    })
    // Within the package, which then finds itself by its name.
    await mkdir(join(root, 'build'), { recursive: true })
    const directory = await mkdtemp(join(root, 'build', 'testing-'))
    onTestFinished(async () => { await rm(directory, { recursive: true }) })
    const file = join(directory, 'failover.test.mjs')
    await writeFile(file, outputText)
    const { stdout } = await run(process.execPath, ['--test', '--test-reporter=tap', file], { cwd: root })
    expect(stdout).toContain('# pass 1')
    expect(stdout).toContain('# fail 0')
  })
})
