/**
 * The requests of the control socket as one table: which function answers which. Each group of requests
 * has a file of its own beside this one; the table is total, so a request without an answer does not compile.
 */
import type { AnswerByType } from '../../protocol/messages/control-answers.ts'
import type { JoinStep, RequestByType, RequestType } from '../../protocol/messages/control.ts'
import { answerBucketRequests } from './bucket-requests.ts'
import { answerClusterRequests } from './cluster-requests.ts'
import { answerKeyRequests } from './key-requests.ts'
import { answerMountRequests } from './mount-requests.ts'
import { answerNodeRequests } from './node-requests.ts'
import { answerObjectRequests } from './object-requests.ts'
import { answerWebhookRequests } from './webhook-requests.ts'
import type { ControlBackend } from './backend.ts'

export interface RequestContext {
  /** Tells the caller how far it is; nothing waits for it. */
  progress(step: JoinStep): void
}

/** Answers one type of request. @throws ShoalError what the caller is told */
export type Answerer<Type extends RequestType> = (
  request: RequestByType[Type],
  context: RequestContext,
) => AnswerByType[Type] | Promise<AnswerByType[Type]>

export type AnswererTable = { readonly [Type in RequestType]: Answerer<Type> }

/** The whole table over what the composition provides. */
export const newAnswererTable = (backend: ControlBackend): AnswererTable => ({
  ...answerNodeRequests(backend),
  ...answerBucketRequests(backend),
  ...answerKeyRequests(backend),
  ...answerWebhookRequests(backend),
  ...answerMountRequests(backend),
  ...answerObjectRequests(backend),
  ...answerClusterRequests(backend),
})
