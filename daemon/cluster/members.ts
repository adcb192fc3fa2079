/**
 * The members of the cluster: rows of its own stream, one for each node, written by that node or by the
 * one that let it in. Read anew each time, since any peer may have changed them.
 */
import { messageOf } from '../../protocol/errors.ts'
import type { NodeId } from '../../protocol/ids.ts'
import { encodeMember, memberKey, MEMBER_PREFIX, parseMember } from '../../protocol/record-codec.ts'
import type { MemberRecord } from '../../protocol/records.ts'
import type { Caller, Volume } from '../../volume/volume.ts'

/** What this needs of the cluster's volume. */
export type MemberRows = Pick<Volume, 'config' | 'configs' | 'setConfig'>

/**
 * All members that have not been removed.
 * @param warn told of rows that cannot be read; they are ignored, never trusted
 */
export function activeMembers(rows: MemberRows, warn: (message: string) => void): MemberRecord[] {
  const members: MemberRecord[] = []
  for (const [key, value] of rows.configs(MEMBER_PREFIX)) {
    try {
      const member = parseMember(value)
      if (key !== memberKey(member.node)) warn(`member row ${key} speaks of another node`)
      else if (member.state === 'active') members.push(member)
    } catch (cause) {
      warn(`member row ${key} cannot be read: ${messageOf(cause)}`)
    }
  }
  return members
}

/** The rows of active members as they stand, for whoever passes them on. */
export function memberRows(rows: MemberRows): Buffer[] {
  const isActive = new Set(activeMembers(rows, () => {}).map(({ node }) => memberKey(node)))
  return [...rows.configs(MEMBER_PREFIX)]
    .filter(([key]) => isActive.has(key))
    .map(([, value]) => value)
}

/**
 * Writes the row of a node that was invited, as that node made it; one that had been removed is back.
 * @param value what `encodeMember` made of `record` @returns whether anything was new
 */
export function admitMember(
  rows: MemberRows,
  { record, value }: { readonly record: MemberRecord; readonly value: Buffer },
  by: Caller,
): boolean {
  const key = memberKey(record.node)
  if (rows.config(key)?.equals(value) === true) return false
  rows.setConfig(new Map([[key, value]]), by)
  return true
}

/** The row of one member, null where there is none that can be read. */
export function memberOf(rows: MemberRows, node: NodeId): MemberRecord | null {
  const value = rows.config(memberKey(node))
  if (value === null) return null
  try {
    return parseMember(value)
  } catch {
    return null
  }
}

/**
 * Writes a member's row if it says anything new. Fields of later versions in it stay, and so does the time
 * it joined; one that was removed does not come back by writing itself again.
 * @returns whether something was written
 */
export function writeMember(rows: MemberRows, record: MemberRecord, by: Caller): boolean {
  const before = rows.config(memberKey(record.node))
  const known = memberOf(rows, record.node)
  if (known?.state === 'removed') return false
  const value = encodeMember({ ...record, joinedMs: known?.joinedMs ?? record.joinedMs }, before)
  if (before !== null && value.equals(before)) return false
  rows.setConfig(new Map([[memberKey(record.node), value]]), by)
  return true
}
