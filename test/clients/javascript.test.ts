/** The AWS SDK for JavaScript v3 and minio-js: the sessions are in `scripts/javascript-session.mjs`. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { clientModules, Session } from './session.ts'
import { SKIPPED } from '../support/skipping.ts'

const SCRIPT = fileURLToPath(new URL('scripts/javascript-session.mjs', import.meta.url))
const modules = clientModules()
const session = new Session('javascript')

beforeAll(async () => {
  if (modules !== null) await session.open()
})
afterAll(async () => {
  await session.close()
})

test.for([
  ['the AWS SDK for JavaScript', '@aws-sdk/client-s3', 'sdk'],
  ['minio-js', 'minio', 'minio'],
] as const)('%s runs its session', { timeout: 180_000 }, async ([name, folder, word], context) => {
  if (modules === null || !existsSync(join(modules, folder))) {
    return context.skip(`${SKIPPED}${name} is not installed (SHOAL_TEST_NODE_MODULES)`)
  }
  const ran = await session.run(process.execPath, [SCRIPT, word], {
    variables: { ENDPOINT: session.endpoint, NODE_MODULES: modules },
  })
  expect(ran.status, ran.output).toBe(0)
  expect(ran.stdout).toContain('done')
})
