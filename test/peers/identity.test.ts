/** The identity of a node: made once, kept, and never mixed up with another. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { realEnvironment } from '../../cli/environment.ts'
import { fingerprintOf, loadIdentity, nodeOfCertificate } from '../../daemon/peers/identity.ts'

const homes: string[] = []
function newHome(): string {
  const home = mkdtempSync(join(tmpdir(), 'shoal-identity-'))
  homes.push(home)
  return home
}
afterEach(() => {
  for (const home of homes.splice(0)) rmSync(home, { recursive: true, force: true })
})

test('an identity is made once, kept with mode 0600, and the same ever after', async () => {
  const home = newHome()
  const made = await loadIdentity(home, realEnvironment)
  const again = await loadIdentity(home, realEnvironment)
  expect(again).toEqual(made)
  expect(made.node).toBe(nodeOfCertificate(made.certificate))
  expect(made.fingerprint).toBe(fingerprintOf(made.certificate))
  for (const name of ['node.key', 'node.crt']) {
    expect(statSync(join(home, name)).mode & 0o777).toBe(0o600)
  }
})

test('a crash between key and certificate leaves the same node', async () => {
  const home = newHome()
  const made = await loadIdentity(home, realEnvironment)
  rmSync(join(home, 'node.crt'))
  const again = await loadIdentity(home, realEnvironment)
  expect(again.node).toBe(made.node)
})

test('two homes are two nodes, and a foreign certificate is refused', async () => {
  const first = await loadIdentity(newHome(), realEnvironment)
  const home = newHome()
  const second = await loadIdentity(home, realEnvironment)
  expect(second.node).not.toBe(first.node)
  writeFileSync(join(home, 'node.crt'), first.certificatePem)
  await expect(loadIdentity(home, realEnvironment)).rejects.toMatchObject({ code: 'corrupt' })
})
