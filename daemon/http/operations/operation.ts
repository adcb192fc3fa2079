/**
 * What an operation is: which requests mean it, what whoever asks must be allowed to, and what it does.
 * The tables of operations are in the folders below; `dispatch.ts` finds the one that a request means.
 */
import type { Verb } from '../../../protocol/records.ts'
import type {
  BucketNameTarget,
  BucketTarget,
  Exchange,
  ObjectTarget,
  ServiceTarget,
} from '../exchange.ts'

interface Route {
  readonly method: string
  /** Parameters that must all be there for this operation to be meant. */
  readonly selectors?: readonly string[]
  /** A header that must be there for this operation to be meant. */
  readonly header?: string
  /** Further parameters that it understands and that would otherwise be refused. */
  readonly allows?: readonly string[]
}

export type Operation =
  | (Route & {
      readonly level: 'service'
      run(exchange: Exchange, target: ServiceTarget): Promise<void>
    })
  | (Route & {
      /** Where there need not be a bucket yet. It authorizes itself. */
      readonly level: 'bucket-name'
      run(exchange: Exchange, target: BucketNameTarget): Promise<void>
    })
  | (Route & {
      readonly level: 'bucket'
      /** `know`: whoever has anything to do with the bucket. `self`: the operation asks the policy itself. */
      readonly verb: Verb | 'know' | 'self'
      run(exchange: Exchange, target: BucketTarget): Promise<void>
    })
  | (Route & {
      readonly level: 'object'
      readonly verb: Verb
      run(exchange: Exchange, target: ObjectTarget): Promise<void>
    })
