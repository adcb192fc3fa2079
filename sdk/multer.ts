/**
 * A storage engine for multer: uploads of a form go straight into the bucket as they arrive, never to this
 * machine's disk. Works with every version of multer that has storage engines; depends on none.
 */
import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import { callbackify } from 'node:util'
import type { PutOptions } from './upload/put.ts'
import type { PutResult, Storage } from './storage.ts'

/** A file of the form, as multer hands it over. */
export interface MulterFile {
  readonly fieldname: string
  readonly originalname: string
  readonly mimetype: string
  readonly stream: Readable
}

/** What multer adds to `req.file`. */
export interface StoredFile extends PutResult {
  readonly bucket: string
}

type Choose<Request, Value> = (request: Request, file: MulterFile) => Value | Promise<Value>

export interface MulterOptions<Request> {
  /** The object's key; `uploads/<random>/<name of the file>` if left out. */
  readonly key?: Choose<Request, string>
  /** What else `put` is told; the type is the form's unless it says another. */
  readonly options?: Choose<Request, PutOptions>
}

export interface MulterEngine<Request> {
  _handleFile(
    request: Request,
    file: MulterFile,
    done: (error: Error | null, info?: StoredFile) => void,
  ): void
  _removeFile(request: Request, file: unknown, done: (error: Error | null) => void): void
}

/**
 * `multer({ storage: multerStorage(storage, { key: (req, file) => `users/${req.user.id}/${file.originalname}` }) })`
 */
export function multerStorage<Request = unknown>(
  storage: Storage,
  options: MulterOptions<Request> = {},
): MulterEngine<Request> {
  const store = async (request: Request, file: MulterFile): Promise<StoredFile> => {
    try {
      const key = (await options.key?.(request, file)) ?? defaultKey(file)
      const wishes = (await options.options?.(request, file)) ?? {}
      const put = await storage.put(key, file.stream, { type: file.mimetype, ...wishes })
      return { ...put, bucket: storage.bucket }
    } catch (cause) {
      // Whatever is left of the form must still flow, or its sender never hears of the error.
      file.stream.resume()
      throw cause
    }
  }
  const remove = async (file: unknown): Promise<void> => {
    const key = typeof file === 'object' && file !== null && 'key' in file ? file.key : null
    if (typeof key === 'string') await storage.delete(key)
  }
  return {
    _handleFile: callbackify(store),
    _removeFile(_request, file, done) {
      callbackify(remove)(file, done)
    },
  }
}

/** The name is the browser's: only its last part, without what has a meaning in paths or terminals. */
const defaultKey = ({ originalname }: MulterFile): string => {
  const name = (originalname.split(/[/\\]/).at(-1) ?? '').replaceAll(/[\p{Cc}\p{Cs}]/gu, '')
  return `uploads/${randomUUID()}/${name === '' || name === '.' || name === '..' ? 'file' : name.slice(-200)}`
}
