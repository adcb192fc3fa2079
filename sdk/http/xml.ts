/**
 * A reader for the XML that S3 servers answer with: elements and text. It is no general parser: no
 * document types, no entities but the five of XML and character references, no namespaces. What it
 * does not know it refuses, in one pass and in bounded depth.
 */
import { StorageError } from '../errors.ts'

export interface XmlElement {
  readonly name: string
  readonly text: string
  readonly children: readonly XmlElement[]
}

interface OpenElement {
  name: string
  text: string
  children: XmlElement[]
}

/** A list answer is three deep. */
const DEPTH_MAX = 16

/**
 * The root element of a document.
 * @throws StorageError `BadResponse`
 */
export function parseXml(document: string): XmlElement {
  const root: OpenElement = { name: '', text: '', children: [] }
  const open: OpenElement[] = [root]
  let at = 0
  while (at < document.length) {
    const start = document.indexOf('<', at)
    const current = open.at(-1) ?? root
    if (start === -1) break
    if (start > at) current.text += decodeEntities(document.slice(at, start))
    at = readMarkup(document, start, open)
  }
  const first = root.children[0]
  if (first === undefined || open.length !== 1) throw badXml('it ends too early')
  return first
}

/** Reads what begins with `<` at `start`; returns the index behind it. */
function readMarkup(document: string, start: number, open: OpenElement[]): number {
  if (document.startsWith('<?', start)) return after(document, '?>', start)
  if (document.startsWith('<!--', start)) return after(document, '-->', start)
  if (document.startsWith('<!', start)) throw badXml('it declares a document type')
  const end = after(document, '>', start)
  const tag = document.slice(start + 1, end - 1)
  if (tag.startsWith('/')) closeElement(tag.slice(1).trim(), open)
  else openElement(tag, open)
  return end
}

function openElement(tag: string, open: OpenElement[]): void {
  const empty = tag.endsWith('/')
  const name = /^[A-Za-z_][\w.:-]*/.exec(tag)?.[0]
  if (name === undefined) throw badXml(`<${tag.slice(0, 20)}> is no element`)
  if (open.length > DEPTH_MAX) throw badXml('it is nested too deep')
  const element: OpenElement = { name, text: '', children: [] }
  open.at(-1)?.children.push(element)
  if (!empty) open.push(element)
}

function closeElement(name: string, open: OpenElement[]): void {
  if (open.length < 2 || open.pop()?.name !== name)
    throw badXml(`</${name.slice(0, 20)}> closes nothing`)
}

function after(document: string, mark: string, start: number): number {
  const found = document.indexOf(mark, start)
  if (found === -1) throw badXml('it ends too early')
  return found + mark.length
}

/** Text as it stands in an element. Control characters that XML cannot carry are sent as references. */
export const escapeXml = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/\p{Cc}/gu, (character) => `&#${character.charCodeAt(0)};`)

const CHARACTER_BY_ENTITY: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
}

const decodeEntities = (text: string): string =>
  text.includes('&')
    ? text.replaceAll(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w{1,8}));/gi, decodeEntity)
    : text

function decodeEntity(whole: string, hex?: string, decimal?: string, name?: string): string {
  if (name !== undefined) return CHARACTER_BY_ENTITY[name] ?? whole
  const point = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)
  return point <= 0x10ffff ? String.fromCodePoint(point) : '�'
}

const badXml = (why: string): StorageError =>
  new StorageError('BadResponse', `read the server's answer: ${why}`)
