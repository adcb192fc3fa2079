/** AbortMultipartUpload: the parts go at once. */
import type { Exchange, ObjectTarget } from '../../exchange.ts'
import { sendEmpty } from '../../wire/respond.ts'
import { openUpload, uploadFailure } from './upload-target.ts'

export async function abortUpload(exchange: Exchange, target: ObjectTarget): Promise<void> {
  const { id } = openUpload(exchange, target)
  try {
    await exchange.backend.uploads.abort(id)
  } catch (cause) {
    throw uploadFailure(cause)
  }
  sendEmpty(exchange, 204)
}
