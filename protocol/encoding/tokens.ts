/** The first bytes of MessagePack values that rows are made of; the wider form of each follows it. */
export const NIL = 0xc0
export const FALSE = 0xc2
export const TRUE = 0xc3
export const BIN8 = 0xc4
export const ARRAY16 = 0xdc
export const UINT8 = 0xcc
export const UINT64 = 0xcf
export const INT8 = 0xd0
export const INT16 = 0xd1
export const INT32 = 0xd2
export const INT64 = 0xd3
