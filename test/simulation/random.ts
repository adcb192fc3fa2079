/**
 * Chance from one seed, so that a run can be repeated: a 32-bit mix of a counter (the finisher of
 * MurmurHash3, which spreads every bit over all). Good enough to choose operations; never for secrets.
 */
export class Random {
  #counter: number

  constructor(seed: number) {
    this.#counter = Math.imul(seed | 0, 0x9e3779b1) ^ 0x5bd1e995
  }

  /** A whole number from 0 to 2^32 - 1. */
  next(): number {
    this.#counter = (this.#counter + 0x6d2b79f5) | 0
    let mixed = this.#counter
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    return (mixed ^ (mixed >>> 16)) >>> 0
  }

  /** A whole number from 0 to `bound - 1`. */
  below(bound: number): number {
    return Math.floor((this.next() / 2 ** 32) * bound)
  }

  /** True so often of 100 times. */
  percent(chance: number): boolean {
    return this.below(100) < chance
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new Error('there is nothing to pick from')
    return item
  }

  shuffle<Item>(items: readonly Item[]): Item[] {
    const shuffled = [...items]
    for (let last = shuffled.length - 1; last > 0; last--) {
      const other = this.below(last + 1)
      const kept = shuffled[last]
      const taken = shuffled[other]
      if (kept === undefined || taken === undefined) throw new Error('out of range')
      shuffled[last] = taken
      shuffled[other] = kept
    }
    return shuffled
  }

  bytes(count: number): Buffer {
    return Buffer.from(Array.from({ length: count }, () => this.below(256)))
  }
}
