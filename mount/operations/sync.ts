/**
 * FSYNC and FSYNCDIR: answered by the main thread once everything is on disk, since a sync here would hold
 * up the whole mount. A file that is still open is durable by name too (rule 16): its row first, then the
 * staging file, its folder, and the write-ahead log.
 */
import type { RequestReader } from '../driver/wire.ts'
import { fileOf } from './attributes.ts'
import type { World } from './world.ts'

export function sync(request: RequestReader, world: World): void {
  const { unique } = request
  const file = fileOf(world, request.u64(40))
  if (file.source.kind !== 'staging') {
    world.tellMain({ type: 'sync', unique, path: null })
    return
  }
  // What has no name has no row either.
  if (!file.isUnlinkedHere) world.settler.noteSync(file, file.source)
  world.tellMain({ type: 'sync', unique, path: file.source.path })
}

export function syncDirectory(request: RequestReader, world: World): void {
  world.tellMain({ type: 'sync', unique: request.unique, path: null })
}
