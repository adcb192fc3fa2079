/**
 * What a mount and an HTTP server do to files, step by step, for `files.test.ts`. Each step that is done is
 * said by its name; what it leaves behind is in the test.
 */
import fs from 'node:fs'
import { realEnvironment } from '../../../dist/cli/environment.js'
import { openContentStore } from '../../../dist/volume/contents/store.js'
import { openVolume } from '../../../dist/volume/open.js'
import { countCalls, say } from './deadly.mjs'

const [home, killBefore] = process.argv.slice(2)
const bytesOf = (fill) => Buffer.alloc(300_000, fill)
const none = new Map()
const by = { source: 1 }
const root = 1
const made = { kind: 'file', mode: 0o644, uid: null, gid: null, rdev: 0, target: null }

const store = openContentStore({ home, environment: realEnvironment })
const volume = openVolume({
  folder: `${home}/bucket`,
  contents: store,
  environment: realEnvironment,
  stream: 'b'.repeat(32),
  node: 'c'.repeat(32),
})

const sayCount = countCalls(Number(killBefore))

/** A file written through a mount up to close(2): its bytes are in staging. */
function close(name, fill) {
  const staged = store.take()
  const slot = { parent: root, name }
  const found = volume.lookup(slot)
  const record =
    found === null
      ? volume.createStaged(slot, made, staged.path, by).staging
      : volume.stage(found.ino, staged.path, by)
  fs.writeFileSync(staged.path, bytesOf(fill))
  volume.markClosed(record, by)
  return record
}

const publish = (record) =>
  volume.publish(record, store.seal({ path: record.path }), [1_790_000_000, 0], false, by)

async function put(name, fill) {
  const upload = store.upload()
  await upload.write(bytesOf(fill))
  const content = await upload.finish()
  const object = { content, headers: none, metadata: none, checksums: none, etag: null }
  volume.put(name, object, by)
  await volume.durable()
}

let record = close('file', 'a')
say('file closed')
publish(record)
say('file published')
record = close('twin', 'a')
say('twin closed')
publish(record)
say('twin published')
record = close('file', 'b')
say('file closed again')
publish(record)
say('file published again')
await put('object', 'c')
say('object put')
await put('object', 'a')
say('object put again')
volume.rename({ parent: root, name: 'file' }, { parent: root, name: 'twin' }, 'replace', by)
await volume.durable()
say('file renamed')
volume.remove('object', {}, by)
say('object removed')
volume.maintain()
sayCount()
