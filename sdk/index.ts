/**
 * What an app imports: `import { Storage } from 'shoal'`, or `const { Storage } = require('shoal')`.
 * Stands alone: nothing of the daemon, nothing but Node's own modules.
 */
export type { ConnectionOptions } from './connection.ts'
export { StorageError } from './errors.ts'
export type { Progress } from './http/request.ts'
export {
  multerStorage,
  type MulterEngine,
  type MulterFile,
  type MulterOptions,
  type StoredFile,
} from './multer.ts'
export type { CopyOptions, MoveOptions } from './objects/copy.ts'
export type { ListEntry, ListPage, ListedObject, ListedPrefix } from './objects/listing.ts'
export type { DeleteFailure, DeleteResult } from './objects/many.ts'
export type { ObjectInfo, ObjectStream, RequestOptions, StoredObject } from './objects/object.ts'
export type { ObjectVersion } from './objects/versions.ts'
export {
  type ListOptions,
  type Listing,
  type PageOptions,
  type PutResult,
  Storage,
  type StorageOptions,
  type StreamOptions,
  type UrlOptions,
} from './storage.ts'
export type { Data } from './upload/body.ts'
export type { PutOptions } from './upload/put.ts'
export type { Change, ObjectChange, Reset, Watch, WatchOptions } from './watch/watch.ts'
