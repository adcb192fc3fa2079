/** placeholder, replaced below */
import type { Transaction } from '../transaction.ts'
import { ShoalError } from '../../protocol/errors.ts'
export function settleView(transaction: Transaction): void {
  if (transaction.viewInDoubt) throw new ShoalError('unsupported', 'resolve an anomaly')
}
