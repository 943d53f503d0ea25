import importSort from 'eslint-plugin-simple-import-sort'
import neostandard from 'neostandard'
import tseslint from 'typescript-eslint'

/** One dialect for all folders, so that nobody has to wonder which form is meant. */
const dialect = [
  { selector: 'TSEnumDeclaration', message: 'Use a union of string literals.' },
  {
    selector: ':matches(Program, ExportNamedDeclaration) > VariableDeclaration > VariableDeclarator[id.typeAnnotation=undefined] > ArrowFunctionExpression',
    message: 'Write a function declaration at top level.'
  },
  { selector: "AssignmentExpression[operator='+='][right.value=1]", message: 'Write ++.' },
  {
    selector: 'CallExpression[callee.property.name=/^(trace|debug|info|warn|error|fatal)$/] > Literal[value=/^[A-Z][a-z]/]',
    message: 'Log messages start in lower case.'
  }
]

export default tseslint.config(
  { ignores: ['dist/**', 'build/**', 'node_modules/**', 'coverage/**', 'data/**'] },
  ...neostandard({ ts: true }),
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.recommendedTypeChecked],
    plugins: { 'import-sort': importSort },
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname }
    },
    rules: {
      '@stylistic/arrow-parens': ['error', 'always'],
      '@stylistic/max-len': ['error', { code: 120, ignoreStrings: true, ignoreTemplateLiterals: true, ignoreRegExpLiterals: true }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off',
      // Built-in modules, packages, own files; each by path.
      'import-sort/imports': ['error', { groups: [['^node:', '^@?\\w', '^\\.']] }],
      'no-restricted-syntax': ['error', ...dialect]
    }
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      // Whole lines, texts included: a reader scrolls in one direction.
      '@stylistic/max-len': ['error', { code: 120 }],
      'max-lines-per-function': ['error', { max: 70 }]
    }
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/cli/**'],
    rules: {
      'no-restricted-properties': ['error', { object: 'process', property: 'exit', message: 'Only the command line may exit the process.' }],
      'no-console': 'error'
    }
  },
  {
    files: ['src/raft/core/**/*.ts'],
    rules: {
      'no-restricted-globals': ['error', 'Date', 'Promise'],
      'no-restricted-properties': ['error', { object: 'Math', property: 'random', message: 'The core is deterministic: randomness comes in as a seed.' }]
    }
  }
)
