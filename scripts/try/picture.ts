/**
 * A real picture of some megabytes, made by computation so that the repository need not carry one: a
 * baseline JPEG (ITU-T T.81) in colour, full resolution, with the standard's own Huffman tables
 * (annex K.3). One quantization table and one pair of Huffman tables serve all three components.
 */

/** Order of the 64 coefficients of a block (figure A.6). */
const ZIGZAG = [
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
  13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52,
  45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
] as const

/** How many codes there are of each length 1..16, and their values (tables K.3 and K.5). */
const DC_LENGTHS = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
const DC_VALUES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
const AC_LENGTHS = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d]
const AC_VALUES = [
  ...Buffer.from(
    '01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a',
    'hex',
  ),
  ...Buffer.from(
    '434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999a',
    'hex',
  ),
  ...Buffer.from(
    'a2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa',
    'hex',
  ),
]

/** A light quantization: the picture stays close to lossless, and the file large. */
const QUANTUM = 6
/** Zero run of sixteen, and end of block (annex F.1.2.2). */
const ZERO_RUN = 0xf0
const END_OF_BLOCK = 0x00

interface Code {
  readonly bits: number
  readonly length: number
}

/**
 * A picture of that many pixels on each side; 1,600 make about 2.5 MB.
 * @param seed another seed gives another picture
 */
export function makePicture(side: number, seed: number): Buffer {
  const blocks = Math.ceil(side / 8)
  const writer = new BitWriter()
  const dcCodes = codesOf(DC_LENGTHS, DC_VALUES)
  const acCodes = codesOf(AC_LENGTHS, AC_VALUES)
  const previous = [0, 0, 0]
  const samples = new Float64Array(64)
  for (let block = 0; block < blocks * blocks; block += 1) {
    const left = (block % blocks) * 8
    const top = Math.floor(block / blocks) * 8
    for (const component of [0, 1, 2]) {
      for (let at = 0; at < 64; at += 1) {
        samples[at] = sampleAt(left + (at % 8), top + (at >> 3), component, seed)
      }
      const quantized = transform(samples)
      const dc = quantized[0] ?? 0
      writeBlock(writer, quantized, dc - (previous[component] ?? 0), { dcCodes, acCodes })
      previous[component] = dc
    }
  }
  return Buffer.concat([headers(blocks * 8), writer.end(), Buffer.from([0xff, 0xd9])])
}

/** Waves of three lengths and some grain, around 0: what a photograph has and a gradient lacks. */
function sampleAt(x: number, y: number, component: number, seed: number): number {
  const phase = seed + component * 2
  const wave = Math.sin(x / 47 + phase) * 40 + Math.cos((x + y) / 91 - phase) * 35
  const ripple = Math.sin(Math.hypot(x - 500, y - 700) / 9) * 18
  const mixed = Math.imul(x * 73_856_093 + seed, 19_349_663) ^ Math.imul(y + component, 83_492_791)
  return wave + ripple + ((mixed >>> 9) % 33) - 16
}

const COSINES = Float64Array.from({ length: 64 }, (_, at) => {
  const frequency = at >> 3
  const scale = frequency === 0 ? Math.SQRT1_2 : 1
  return (scale * Math.cos(((2 * (at % 8) + 1) * frequency * Math.PI) / 16)) / 2
})

/** Discrete cosine transform of 8 x 8 samples, by rows and then by columns, quantized. */
function transform(samples: Float64Array): Int32Array {
  const rows = multiply(samples, (row, frequency, at) => [row * 8 + at, frequency * 8 + at])
  const both = multiply(rows, (column, frequency, at) => [column * 8 + at, frequency * 8 + at])
  return Int32Array.from(both, (value) => Math.round(value / QUANTUM))
}

/** One direction of the transform; the result is transposed, so that twice makes both directions. */
function multiply(
  source: Float64Array,
  place: (line: number, frequency: number, at: number) => readonly [number, number],
): Float64Array {
  const target = new Float64Array(64)
  for (let line = 0; line < 8; line += 1) {
    for (let frequency = 0; frequency < 8; frequency += 1) {
      let sum = 0
      for (let at = 0; at < 8; at += 1) {
        const [from, cosine] = place(line, frequency, at)
        sum += (source[from] ?? 0) * (COSINES[cosine] ?? 0)
      }
      target[frequency * 8 + line] = sum
    }
  }
  return target
}

function writeBlock(
  writer: BitWriter,
  quantized: Int32Array,
  difference: number,
  { dcCodes, acCodes }: { dcCodes: readonly Code[]; acCodes: readonly Code[] },
): void {
  writeValue(writer, dcCodes, difference, 0)
  let zeros = 0
  for (const place of ZIGZAG.slice(1)) {
    const value = quantized[place] ?? 0
    if (value === 0) {
      zeros += 1
      continue
    }
    for (; zeros > 15; zeros -= 16) writer.write(acCodes[ZERO_RUN])
    writeValue(writer, acCodes, value, zeros)
    zeros = 0
  }
  if (zeros > 0) writer.write(acCodes[END_OF_BLOCK])
}

/** A run of zeros with the size of what follows, then the value itself; negative ones as complement. */
function writeValue(writer: BitWriter, codes: readonly Code[], value: number, zeros: number): void {
  const length = 32 - Math.clz32(Math.abs(value))
  writer.write(codes[zeros * 16 + length])
  if (length > 0) writer.write({ bits: value > 0 ? value : value + 2 ** length - 1, length })
}

/** Huffman codes by value, as annex C derives them from the lengths. */
function codesOf(lengths: readonly number[], values: readonly number[]): readonly Code[] {
  const codes: Code[] = []
  let bits = 0
  let at = 0
  for (const [index, count] of lengths.entries()) {
    for (let left = count; left > 0; left -= 1) {
      codes[values[at] ?? 0] = { bits, length: index + 1 }
      bits += 1
      at += 1
    }
    bits *= 2
  }
  return codes
}

/** Collects bits into bytes; a byte of ones is followed by a zero, so that no marker appears. */
class BitWriter {
  #bytes = Buffer.alloc(1 << 16)
  #size = 0
  #pending = 0
  #count = 0

  write(code: Code | undefined): void {
    if (code === undefined) throw new Error('a value lies outside the Huffman table')
    for (let bit = code.length - 1; bit >= 0; bit -= 1) {
      this.#pending = this.#pending * 2 + ((code.bits >> bit) & 1)
      this.#count += 1
      if (this.#count === 8) this.#flush()
    }
  }

  end(): Buffer {
    while (this.#count !== 0) this.write({ bits: 1, length: 1 })
    return this.#bytes.subarray(0, this.#size)
  }

  #flush(): void {
    if (this.#size + 2 > this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(this.#bytes.length)])
    }
    this.#bytes[this.#size++] = this.#pending
    if (this.#pending === 0xff) this.#bytes[this.#size++] = 0
    this.#pending = 0
    this.#count = 0
  }
}

/** Everything before the bits: annex B.2, with a JFIF application segment. */
function headers(side: number): Buffer {
  const size = [side >> 8, side & 0xff]
  const components = [1, 2, 3]
  return Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    segment(0xe0, [...Buffer.from('JFIF\0'), 1, 1, 0, 0, 1, 0, 1, 0, 0]),
    segment(0xdb, [0, ...Array.from({ length: 64 }, () => QUANTUM)]),
    segment(0xc0, [8, ...size, ...size, 3, ...components.flatMap((id) => [id, 0x11, 0])]),
    segment(0xc4, [0x00, ...DC_LENGTHS, ...DC_VALUES]),
    segment(0xc4, [0x10, ...AC_LENGTHS, ...AC_VALUES]),
    segment(0xda, [3, ...components.flatMap((id) => [id, 0]), 0, 63, 0]),
  ])
}

function segment(marker: number, content: readonly number[]): Buffer {
  const length = content.length + 2
  return Buffer.from([0xff, marker, length >> 8, length & 0xff, ...content])
}
