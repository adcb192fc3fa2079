/** `shoal website`: a bucket as a website, on host names of its own. */
import { ShoalError } from '../../../protocol/errors.ts'
import { bytesOfText, parseBucketName, textOfBytes } from '../../../protocol/ids.ts'
import type { RequestByType, WebsiteWish } from '../../../protocol/messages/control.ts'
import { ask } from '../../client.ts'
import type { CommandDefinition, CommandInput } from '../../command.ts'
import { printable } from '../../output.ts'

const DEFAULT_INDEX = 'index.html'

export const website: CommandDefinition = {
  name: 'website',
  summary: 'make a bucket a website on a host of its own, or show what it is',
  arguments: [{ name: 'BUCKET', help: 'its name; what is public in it are the pages' }],
  options: [
    {
      flags: '--host NAME',
      help: 'a name that leads to this machine, and to nothing else here',
      repeatable: true,
    },
    { flags: '--index NAME', help: `what a folder shows (default: ${DEFAULT_INDEX})` },
    { flags: '--error KEY', help: 'the page for what is not there' },
    { flags: '--off', help: 'a website no more' },
    { flags: '--json', help: 'as one JSON value' },
  ],
  examples: [
    'shoal website my-site --host www.example.com --error 404.html && shoal access my-site public',
    'shoal website my-site --off',
  ],
  async run(input, { home, output }) {
    const bucket = parseBucketName(input.word(0))
    const answer = await ask(home, 'website', { bucket, change: readChange(input) })
    const { website: found } = answer
    if (input.has('json')) {
      output.json({ bucket, website: found === null ? null : textOf(found) })
      return undefined
    }
    if (found === null) {
      output.line(`${bucket} is no website`)
      return undefined
    }
    const { index, error, hosts } = textOf(found)
    for (const host of hosts) output.line(`host   ${printable(host)}`)
    output.line(`index  ${printable(index)}`)
    output.line(`error  ${printable(error ?? '-')}`)
    return undefined
  },
}

function readChange(input: CommandInput): RequestByType['website']['change'] {
  const hosts = input.texts('host').map((host) => host.toLowerCase())
  const [index, error] = [input.text('index'), input.text('error')]
  const wants = hosts.length > 0 || index !== null || error !== null
  if (input.has('off')) {
    if (!wants) return { website: null }
    throw new ShoalError('usage', 'change a website', { why: '--off goes with nothing else' })
  }
  if (!wants) return null
  if (hosts.length === 0) {
    throw new ShoalError('usage', 'make a website', {
      why: 'pages may run scripts, so they need a host of their own, and none is named',
      next: 'Name it with --host www.example.com.',
    })
  }
  return {
    website: {
      index: bytesOfText(index ?? DEFAULT_INDEX),
      error: error === null ? null : bytesOfText(error),
      hosts,
    },
  }
}

const textOf = ({ index, error, hosts }: WebsiteWish): WebsiteWish => ({
  index: textOfBytes(index),
  error: error === null ? null : textOfBytes(error),
  hosts,
})
