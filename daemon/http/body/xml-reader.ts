/**
 * Reading the small XML documents that clients send: into elements with their text, within bounds. The only
 * file that imports saxes. A document type is refused before anything in it is looked at, so there are no
 * entities but XML's own five and numeric ones; names lose their namespace prefix; text is kept byte for
 * byte, since keys may begin and end with spaces.
 */
import { SaxesParser } from 'saxes'
import { S3Error } from '../errors.ts'

export interface XmlElement {
  readonly name: string
  /** Text directly inside, children's not included. */
  readonly text: string
  readonly children: readonly XmlElement[]
}

/** A CompleteMultipartUpload of 10,000 parts has seven elements a part at most. */
const ELEMENTS_MAX = 100_000
/** The deepest document of S3 (a lifecycle rule's filter) has six levels. */
const DEPTH_MAX = 16

interface OpenElement {
  readonly name: string
  text: string
  readonly children: OpenElement[]
}

/**
 * The root element of a document.
 * @throws S3Error `MalformedXML` for what is not well-formed, too deep, too long, or has a document type
 */
export function readXml(document: string): XmlElement {
  const reader = new Reader()
  const parser = new SaxesParser()
  parser.on('doctype', () => {
    throw malformedXml()
  })
  parser.on('error', () => {
    throw malformedXml()
  })
  parser.on('opentag', ({ name }) => {
    reader.open(name)
  })
  parser.on('closetag', () => {
    reader.close()
  })
  parser.on('text', (text) => {
    reader.text(text)
  })
  parser.on('cdata', (text) => {
    reader.text(text)
  })
  parser.write(document).close()
  return reader.root()
}

class Reader {
  #root: OpenElement | null = null
  readonly #open: OpenElement[] = []
  #count = 0

  open(name: string): void {
    this.#count += 1
    if (this.#count > ELEMENTS_MAX || this.#open.length >= DEPTH_MAX) throw malformedXml()
    const element = { name: name.slice(name.indexOf(':') + 1), text: '', children: [] }
    const parent = this.#open.at(-1)
    if (parent === undefined) this.#root = element
    else parent.children.push(element)
    this.#open.push(element)
  }

  close(): void {
    this.#open.pop()
  }

  text(text: string): void {
    const element = this.#open.at(-1)
    if (element !== undefined) element.text += text
  }

  root(): XmlElement {
    if (this.#root === null) throw malformedXml()
    return this.#root
  }
}

/** The first child of that name, null where there is none. */
export const childOf = (element: XmlElement, name: string): XmlElement | null =>
  element.children.find((child) => child.name === name) ?? null

/** The text of the first child of that name, null where there is none. */
export const textOf = (element: XmlElement, name: string): string | null =>
  childOf(element, name)?.text ?? null

export const childrenOf = (element: XmlElement, name: string): readonly XmlElement[] =>
  element.children.filter((child) => child.name === name)

export const malformedXml = (): S3Error =>
  new S3Error(
    'MalformedXML',
    'The XML you provided was not well-formed or did not validate against our published schema',
  )
