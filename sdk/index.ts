/**
 * What an app imports: `import { Storage } from 'shoal'`, or `const { Storage } = require('shoal')`.
 * Stands alone: nothing of the daemon, nothing but Node's own modules.
 */
export type { Data } from './body.ts'
export type { ConnectionOptions } from './connection.ts'
export { StorageError } from './errors.ts'
export type { ListEntry, ListPage, ListedObject, ListedPrefix } from './listing.ts'
export type { ObjectInfo, ObjectStream, StoredObject } from './object.ts'
export type { Progress } from './request.ts'
export {
  type ListOptions,
  type Listing,
  type PageOptions,
  type PutOptions,
  type PutResult,
  type RequestOptions,
  Storage,
  type StorageOptions,
  type StreamOptions,
  type UrlOptions,
} from './storage.ts'
