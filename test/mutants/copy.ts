import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Mutant } from './mutant.ts'

/** The project beside itself, to be broken. */
export interface Copy extends Disposable {
  readonly path: string
  /** Makes the change; what is answered takes it back. Throws where the text is not in the file exactly once. */
  apply(mutant: Mutant): () => void
}

/** All that git knows of, or would, as it is now. Packages are those of the project; what tools keep between runs is the copy's own. */
export function copyOf(root: string): Copy {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-mutants-'))
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root })
  for (const file of list.toString().split('\0').filter(Boolean)) {
    mkdirSync(dirname(join(path, file)), { recursive: true })
    try {
      cpSync(join(root, file), join(path, file), { verbatimSymlinks: true })
    } catch (error) {
      // Known to git, and deleted.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  const packages = join(path, 'node_modules')
  mkdirSync(packages)
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (name === '.bin' || !name.startsWith('.')) symlinkSync(join(root, 'node_modules', name), join(packages, name))
  }
  return {
    path,
    apply({ file, find, becomes, name }) {
      const at = join(path, file)
      const text = readFileSync(at, 'utf8')
      const found = text.split(find).length - 1
      if (found !== 1) throw new Error(`${name}: its text is in ${file} ${found} times: the list is stale`)
      writeFileSync(
        at,
        text.replace(find, () => becomes),
      )
      return () => writeFileSync(at, text)
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}
