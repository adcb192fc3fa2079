/** The bucket settings that `create` and `set` take, as options and as a message. */
import { ShoalError } from '../../../protocol/errors.ts'
import type { BucketChange } from '../../../protocol/messages/control.ts'
import { parseSize } from '../../../daemon/settings.ts'
import type { CommandInput, OptionDefinition } from '../../command.ts'
import type { Output } from '../../output.ts'

export const SETTING_OPTIONS: readonly OptionDefinition[] = [
  { flags: '--replicas N', help: 'copies wanted (default: one on every member)' },
  { flags: '--region R', help: 'keep copies in this region', repeatable: true },
  { flags: '--ack K', help: 'nodes that hold a write durably before it is acknowledged' },
  { flags: '--quota SIZE', help: 'most bytes that its objects may have together' },
]

/** @throws ShoalError `usage` */
export function readBucketChange(input: CommandInput): BucketChange {
  const regions = input.texts('region')
  return {
    public: input.has('public') ? true : input.has('private') ? false : null,
    replicas: input.whole('replicas', 1),
    regions: regions.length === 0 ? null : regions,
    acknowledge: input.whole('ack', 1),
    quotaBytes: readSize(input, 'quota'),
  }
}

/**
 * Says which of the settings given are only kept for now: a promise that is not held yet must not look
 * like one that is.
 */
export function noteSettingsWithoutEffect(change: BucketChange, output: Output): void {
  const given = {
    '--replicas': change.replicas,
    '--region': change.regions,
    '--ack': change.acknowledge,
    '--quota': change.quotaBytes,
  }
  const names = Object.entries(given).flatMap(([name, value]) => (value === null ? [] : [name]))
  if (names.length === 0) return
  output.note(
    `Note: ${names.join(', ')}: kept with the bucket, and not acted upon yet. Every member holds everything, and a write returns once it is durable on its own machine.`,
  )
}

function readSize(input: CommandInput, option: string): number | null {
  const text = input.text(option)
  if (text === null) return null
  try {
    return parseSize(text)
  } catch (cause) {
    throw new ShoalError('usage', `use "${text}" for --${option}`, {
      why: cause instanceof ShoalError ? cause.why : String(cause),
    })
  }
}
