/** What is known of an upload in parts: plain values, as the HTTP edge has them. */
import type { ObjectKey, StreamId } from '../../protocol/ids.ts'

export interface NewUpload {
  readonly stream: StreamId
  readonly key: ObjectKey
  /** Of the object that it becomes, as a version has them. */
  readonly headers: ReadonlyMap<string, string>
  readonly metadata: ReadonlyMap<string, string>
  /** Whether the object is to be public; null = as the bucket decides. */
  readonly isPublic: boolean | null
  /** The checksum that the client chose for the whole: of all bytes, or of the parts' checksums. */
  readonly checksum: {
    readonly algorithm: string
    readonly type: 'COMPOSITE' | 'FULL_OBJECT'
  } | null
}

export interface MultipartUpload extends NewUpload {
  readonly id: string
  readonly startedMs: number
  /** What the client was told when it was completed; null while it is not. */
  readonly completed: CompletedUpload | null
}

export interface CompletedUpload {
  readonly etag: string
  readonly checksums: ReadonlyMap<string, string>
}

export interface NewPart {
  readonly number: number
  readonly etag: string
  /** Base64 by algorithm, the MD5 among them where it is known. */
  readonly checksums: ReadonlyMap<string, string>
}

export interface UploadedPart extends NewPart {
  readonly size: number
  readonly storedMs: number
}

/** Where a listing of uploads goes on: behind this key, and behind this upload of it. */
export interface UploadPosition {
  readonly key: string
  /** null = behind every upload of the key. */
  readonly id: string | null
}
