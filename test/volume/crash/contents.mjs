/** What happens to stored contents beside publishing: one is fetched, one inverted and changed, one collected. */
import fs from 'node:fs'
import { realEnvironment } from '../../../dist/cli/environment.js'
import { hashContent } from '../../../dist/volume/contents/pieces.js'
import { openContentStore } from '../../../dist/volume/contents/store.js'
import { countCalls, say } from './deadly.mjs'

const [home, killBefore] = process.argv.slice(2)
const PIECE_BYTES = 262_144
const kept = Buffer.alloc(600_000, 'k')
const fetched = Buffer.alloc(700_000, 'f')

const store = openContentStore({ home, environment: realEnvironment })
const sayCount = countCalls(Number(killBefore))

const content = store.sealBytes(kept)
store.publishing(content, () => undefined)
await store.sync([content.hash])
say('kept')

const { hash, size, pieces } = hashContent(fetched)
const part = store.partial({ hash, size, format: 1 })
part.setPieces(pieces)
for (const index of part.missing(10)) {
  part.write(index, fetched.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES))
}
await part.finish()
part.close()
say('fetched')

const held = store.hold(content.hash)
const inverted = store.invert(held)
fs.writeFileSync(inverted.path, 'changed', { flag: 'r+' })
held.close()
say('inverted')

store.collect([hash], () => false)
say('collected')
sayCount()
