/**
 * Answers that may take longer than clients wait for the first byte: when they do, the status is sent and a
 * space now and then, as S3 does it, and the document last. What fails behind the status is an error
 * document in a 200, which clients of these operations look for.
 */
import { s3ErrorFrom } from '../errors.ts'
import type { Exchange } from '../exchange.ts'
import { sendDocument, writeHead } from './respond.ts'
import { errorDocument, XML_DECLARATION } from './xml.ts'

/** Clients and proxies give up after 30 to 60 s without a byte. */
const SPACE_EVERY_MS = 10_000

/** Sends the document that `work` resolves with. What it throws before the status is sent is thrown on. */
export async function answerSlowly(exchange: Exchange, work: () => Promise<string>): Promise<void> {
  const { backend, outgoing, requestId } = exchange
  const { environment } = backend
  const tick = (): void => {
    if (outgoing.headersSent) outgoing.write(' ')
    else {
      writeHead(outgoing, requestId, 200, ['Content-Type', 'application/xml'])
      outgoing.write(XML_DECLARATION)
    }
    cancel = environment.after(SPACE_EVERY_MS, tick)
  }
  let cancel = environment.after(SPACE_EVERY_MS, tick)
  try {
    const document = await work()
    cancel()
    if (outgoing.headersSent) outgoing.end(document.slice(XML_DECLARATION.length))
    else sendDocument(exchange, document)
  } catch (cause) {
    cancel()
    if (!outgoing.headersSent) throw cause
    const { code, message, status } = s3ErrorFrom(cause)
    const level = status >= 500 ? 'error' : 'info'
    backend.log({ level, message: `could not finish ${requestId}: ${code}`, requestId, cause })
    const document = errorDocument({ Code: code, Message: message, RequestId: requestId })
    outgoing.end(document.slice(XML_DECLARATION.length))
  }
}
