/** Writes to a volume until it is killed, and says what it has done: one line for each acknowledged operation. */
import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { realEnvironment } from '../../../dist/cli/environment.js'
import { openVolume } from '../../../dist/volume/open.js'

const [folder, durable] = process.argv.slice(2)
const sealBytes = (bytes) => ({
  hash: createHash('sha256').update(bytes).digest('hex'),
  size: bytes.length,
  format: 1,
  inline: bytes,
  staged: null,
  pieces: null,
})
const contents = { sealBytes, publishing: (_content, commit) => commit(), sync: async () => {} }
const volume = openVolume({
  folder,
  contents,
  environment: realEnvironment,
  stream: 'b'.repeat(32),
  node: 'c'.repeat(32),
})
const by = { source: process.pid }
const none = new Map()
for (let index = 0; ; index++) {
  const content = sealBytes(Buffer.from(`content ${index}`))
  const object = { content, headers: none, metadata: none, checksums: none, etag: null }
  volume.put(`${process.pid}/${index % 10}/${index}`, object, by)
  if (index % 3 === 0)
    volume.move(`${process.pid}/${index % 10}/${index}`, `${process.pid}/moved/${index}`, by)
  if (durable === 'durable' && index % 10 === 0) await volume.durable()
  if (index % 50 === 0) volume.maintain()
  writeSync(1, `${index % 3 === 0 ? 'moved' : index % 10}/${index}\n`)
}
