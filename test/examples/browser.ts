import { execFileSync } from 'node:child_process'
import { type Browser, chromium } from 'playwright-core'

const names = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome']

/** A Chromium of this machine: what `CHROMIUM` names, or the first that is found. Says loudly that tests are left out where there is none. */
export function findChromium(): string | undefined {
  const named = process.env['CHROMIUM']
  const found = (named === undefined ? names : [named]).map(pathOf).find(path => path !== undefined)
  if (found === undefined) {
    console.warn(
      `\n*** Tests in a real browser are SKIPPED: none of ${names.join(', ')} is installed.` +
        '\n*** Debian: apt-get install chromium-headless-shell (or chromium); or name one in CHROMIUM\n',
    )
  }
  return found
}

export function startBrowser(executablePath: string): Promise<Browser> {
  // As root, as in containers, Chromium refuses its sandbox. Pages here come from this test alone.
  return chromium.launch({ executablePath, chromiumSandbox: process.getuid?.() !== 0 })
}

function pathOf(name: string): string | undefined {
  try {
    return execFileSync('which', [name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}
