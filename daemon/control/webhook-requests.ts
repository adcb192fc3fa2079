/** `webhook-…`: where the changes of buckets are posted to. */
import type { WebhookSummary } from '../../protocol/messages/control-answers.ts'
import { SECRET_PREFIX } from '../webhooks/message.ts'
import type { WebhookStatus } from '../webhooks/webhooks.ts'
import type { ControlBackend } from './backend.ts'
import type { AnswererTable } from './table.ts'

export function answerWebhookRequests({
  webhooks,
  state,
}: ControlBackend): Pick<AnswererTable, 'webhook-add' | 'webhook-list' | 'webhook-remove'> {
  const summaryOf = ({ record, bucket, delivery }: WebhookStatus): WebhookSummary => {
    const { id, prefix, url, createdMs } = record
    const node = state.members().find((member) => member.node === record.node)?.name ?? record.node
    const { failures = 0, problem = null, takenMs = null } = delivery ?? {}
    const served = delivery === null ? 'elsewhere' : failures > 0 ? 'failing' : 'serving'
    return { id, bucket, prefix, url, node, createdMs, state: served, failures, problem, takenMs }
  }
  return {
    'webhook-add': async ({ bucket, prefix, url }) => {
      const made = await webhooks.add(bucket, prefix, url)
      return { webhook: summaryOf(made), secret: SECRET_PREFIX + made.record.secret }
    },
    'webhook-list': ({ bucket }) => ({ webhooks: webhooks.list(bucket).map(summaryOf) }),
    'webhook-remove': async ({ id }) => summaryOf(await webhooks.remove(id)),
  }
}
