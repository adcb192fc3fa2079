/** placeholder, replaced below */
import type { Transaction } from '../transaction.ts'
import type { NodeRow } from './nodes.ts'
export function prepareSlot(transaction: Transaction, parent: NodeRow, _name: string): void {
  transaction.trustParent(parent.id)
}
export function shadowsOf(_transaction: Transaction, _node: NodeRow): NodeRow[] {
  return []
}
export function prepareMove(_transaction: Transaction, _node: NodeRow): void {}
export function membersOf(_transaction: Transaction, node: NodeRow): NodeRow[] {
  return [node]
}
