/**
 * The few shapes that messages, records and replies are made of, and one function to check a decoded value
 * against them. The only file that imports valibot.
 *
 * Every text, list and map has a bound; there is no combinator without one. What is checked here is form
 * alone; meaning (is this id known?) is the caller's.
 */
import * as v from 'valibot'
import { ShoalError } from '../errors.ts'

/** A shape; `Output` is what `parse` returns for it. */
export type Schema<Output> = v.GenericSchema<unknown, Output>
/** What `parse` returns for a schema. */
export type Parsed<S> = S extends Schema<infer Output> ? Output : never

/** A text of `min` to `max` UTF-16 units, without NUL. */
export const text = (max: number, min = 0): Schema<string> =>
  v.pipe(
    v.string(),
    v.minLength(min),
    v.maxLength(max),
    v.check((value) => !value.includes('\0'), 'a text without NUL is wanted'),
  )

/** Bytes, exactly `length` of them. */
export const bytesOf = (length: number): Schema<Buffer> =>
  v.pipe(
    v.instance(Buffer),
    v.check((value) => value.length === length, `exactly ${length} bytes are wanted`),
  )

/** Bytes, at most `max` of them. */
export const bytesUpTo = (max: number): Schema<Buffer> =>
  v.pipe(
    v.instance(Buffer),
    v.check((value) => value.length <= max, `at most ${max} bytes are wanted`),
  )

/** A whole number from `min` to `max`, by default every one from 0 that JavaScript carries exactly. */
export const whole = (min = 0, max: number = Number.MAX_SAFE_INTEGER): Schema<number> =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max))

/** A finite number, also one with fractions. */
export const finite = (): Schema<number> => v.pipe(v.number(), v.finite())

export const flag = (): Schema<boolean> => v.boolean()

/** Exactly this value. */
export const literal = <const Value extends string | number | boolean>(
  value: Value,
): Schema<Value> => v.literal(value)

/** One of these texts or numbers. */
export const oneOf = <const Value extends string | number>(
  values: readonly Value[],
): Schema<Value> => v.picklist(values)

export const nullable = <Output>(item: Schema<Output>): Schema<Output | null> => v.nullable(item)

/** A list with at most `max` items. */
export const list = <Output>(item: Schema<Output>, max: number): Schema<Output[]> =>
  v.pipe(v.array(item), v.maxLength(max))

// The overloads below say in our words what valibot says in types that the compiler cannot compare.

/** A list of exactly these items, nothing behind them. */
export function tuple<const Items extends readonly Schema<unknown>[]>(
  items: Items,
): Schema<{ -readonly [Index in keyof Items]: Parsed<Items[Index]> }>
export function tuple(items: readonly Schema<unknown>[]): Schema<unknown> {
  return v.strictTuple(items)
}

/** A list that begins with these items; what a later version says behind them is dropped. */
export function leading<const Items extends readonly Schema<unknown>[]>(
  items: Items,
): Schema<{ -readonly [Index in keyof Items]: Parsed<Items[Index]> }>
export function leading(items: readonly Schema<unknown>[]): Schema<unknown> {
  return v.tuple(items)
}

type Fields = Readonly<Record<string, Schema<unknown>>>
type ParsedFields<F extends Fields> = { readonly [Key in keyof F]: Parsed<F[Key]> }

/** A plain object with these fields; others are dropped, so that a newer program may say more. */
export function object<const F extends Fields>(fields: F): Schema<ParsedFields<F>>
export function object(fields: Fields): Schema<unknown> {
  return v.object(fields)
}

/** A map with these fields, as an object. Others are dropped. */
export function fieldMap<const F extends Fields>(fields: F): Schema<ParsedFields<F>>
export function fieldMap(fields: Fields): Schema<unknown> {
  const names = Object.keys(fields)
  return v.pipe(
    v.instance(Map),
    v.transform((map) => Object.fromEntries(names.map((name) => [name, map.get(name)]))),
    v.object(fields),
  )
}

/** What `make` returns for a checked value; a `malformed` thrown by it is the reason shown. */
export const mapped = <Input, Output>(
  item: Schema<Input>,
  make: (value: Input) => Output,
): Schema<Output> =>
  v.pipe(
    item,
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        return make(dataset.value)
      } catch (cause) {
        addIssue({ message: cause instanceof ShoalError ? cause.why : String(cause) })
        return NEVER
      }
    }),
  )

/**
 * Checks a decoded value.
 * @param what what is being read, for the error: `read a HELLO`
 * @throws ShoalError `malformed` with the first thing that is wrong, and where
 */
export function parse<Output>(schema: Schema<Output>, value: unknown, what: string): Output {
  // The first fault is enough; a long list of them costs time that the sender chooses.
  const result = v.safeParse(schema, value, { abortEarly: true, abortPipeEarly: true })
  if (result.success) return result.output
  const issue = result.issues[0]
  const path = v.getDotPath(issue)
  const why = path === null ? issue.message : `at ${path}: ${issue.message}`
  throw new ShoalError('malformed', what, { why: why.slice(0, WHY_MAX_UNITS) })
}
// Messages of valibot quote what they received: enough to find a fault, too little to fill a log.
const WHY_MAX_UNITS = 200
