/** `shoal url`: a URL that gives one object to whoever has it, for a while; the plain one if it is public. */
import { ShoalError } from '../../../protocol/errors.ts'
import { bytesOfText } from '../../../protocol/ids.ts'
import { PRESIGN_MAX_SECONDS } from '../../../protocol/limits.ts'
import type { RequestByType } from '../../../protocol/messages/control.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition } from '../../command.ts'
import { parseObject } from '../../location.ts'

/** Long enough to load a page with pictures, short enough that a leaked URL is soon worthless. */
const DEFAULT_EXPIRES_SECONDS = 900

export const url: CommandDefinition = {
  name: 'url',
  summary: 'print a URL for an object that works without a key',
  arguments: [{ name: 'BUCKET:KEY', help: 'the object; for PUT it need not exist yet' }],
  options: [
    {
      flags: '-e, --expires SECONDS',
      help: `how long it works (default: ${DEFAULT_EXPIRES_SECONDS})`,
    },
    { flags: '-m, --method METHOD', help: 'GET (default), HEAD, PUT or DELETE' },
    { flags: '--json', help: 'as one JSON value' },
  ],
  examples: [
    'shoal url my-app-images:report.pdf',
    'curl -T report.pdf "$(shoal url -m PUT my-app-images:report.pdf)"',
  ],
  async run(input, { home, output }) {
    const { bucket, key } = parseObject(input.word(0))
    const expiresSeconds = input.whole('expires', 1) ?? DEFAULT_EXPIRES_SECONDS
    if (expiresSeconds > PRESIGN_MAX_SECONDS) {
      throw new ShoalError('usage', `use "${expiresSeconds}" for --expires`, {
        why: `a URL works for at most ${PRESIGN_MAX_SECONDS} seconds (seven days)`,
      })
    }
    const method = parseMethod(input.text('method') ?? 'GET')
    const request = { bucket, key: bytesOfText(key), method, expiresSeconds }
    const answer = await ask(home, 'url', request)
    if (input.has('json')) output.json(answer)
    else output.line(answer.url)
    return undefined
  },
}

function parseMethod(text: string): RequestByType['url']['method'] {
  const method = text.toUpperCase()
  if (method === 'GET' || method === 'HEAD' || method === 'PUT' || method === 'DELETE')
    return method
  throw new ShoalError('usage', `use "${text}" for --method`, {
    why: 'it is GET, HEAD, PUT or DELETE',
  })
}
