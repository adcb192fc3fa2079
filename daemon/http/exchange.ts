/**
 * One request and its answer, as the operations see it: what was asked, who asks, and where the answer
 * goes. Made by `server.ts` once the request has been read and its signature verified.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BucketName, ObjectKey } from '../../protocol/ids.ts'
import type { Principal } from '../../protocol/policy.ts'
import type { HttpBackend, HttpBucket } from './backend.ts'
import type { ContentTypes } from './object/find-object.ts'
import type { S3Request } from './wire/request.ts'
import type { SignedRequest } from './signing/signature.ts'
import type { SigningKeys } from './signing/signing-keys.ts'

export interface Exchange {
  readonly backend: HttpBackend
  readonly request: S3Request
  /** Sixteen hex digits, in every answer and in the log. */
  readonly requestId: string
  readonly principal: Principal
  /** null = anonymous. */
  readonly signed: SignedRequest | null
  readonly contentTypes: ContentTypes
  /** A page of a website, on its own host: shown as it is, and with this status for a whole one. */
  readonly site?: { readonly status: 200 | 404 }
  readonly signingKeys: SigningKeys
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  /** Sends `100 Continue` where the client waits for it. Once. */
  welcomeBody(): void
}

/** What an operation is asked to work on; checked and allowed before it runs. */
export interface ServiceTarget {
  readonly level: 'service'
}
export interface BucketTarget {
  readonly level: 'bucket'
  readonly name: BucketName
  readonly bucket: HttpBucket
}
/** A bucket's name where there need not be one yet. */
export interface BucketNameTarget {
  readonly level: 'bucket-name'
  readonly name: BucketName
}
export interface ObjectTarget {
  readonly level: 'object'
  readonly name: BucketName
  readonly bucket: HttpBucket
  readonly key: ObjectKey
}
