/**
 * Writing XML: elements from names and text, nothing else. Text from outside always passes `escapeText`.
 * What XML 1.0 cannot carry at all (most control characters) becomes U+FFFD, so that one strange key does
 * not make a whole listing unreadable; `encoding-type=url` shows such keys exactly.
 */

// oxlint-disable-next-line no-control-regex -- control characters are what these look for
const SPECIAL = /[&<>"\u0000-\u001F\u007F\uFFFE\uFFFF]/
// oxlint-disable-next-line no-control-regex
const SPECIALS = /[&<>"\u0000-\u001F\u007F\uFFFE\uFFFF]/g

const ESCAPE_BY_CHARACTER: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
  '\u007F': '&#127;',
}

export function escapeText(text: string): string {
  if (!SPECIAL.test(text)) return text
  return text.replaceAll(SPECIALS, (character) => ESCAPE_BY_CHARACTER[character] ?? '\uFFFD')
}

/** `<name>text</name>` with the text escaped. */
export const textElement = (name: string, text: string): string =>
  `<${name}>${escapeText(text)}</${name}>`

export const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

/** A whole answer of S3: declaration, root element with S3's namespace, and what is inside already as XML. */
export const xmlDocument = (root: string, inside: string): string =>
  `${XML_DECLARATION}<${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inside}</${root}>`

/** An error document: S3's have no namespace. */
export function errorDocument(fields: Readonly<Record<string, string>>): string {
  const inside = Object.entries(fields).map(([name, text]) => textElement(name, text))
  return `${XML_DECLARATION}<Error>${inside.join('')}</Error>`
}
