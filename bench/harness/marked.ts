/** A part of a text that a command writes anew: what stands between two comments of HTML. */
export class MarkedPart {
  readonly #begin: string
  readonly #end = '\n<!-- end of the table -->'

  /** @param command - Who writes it, as it says in the comment. */
  constructor(command: string) {
    this.#begin = `<!-- made by \`${command}\` -->\n`
  }

  /** @throws if the text has no such part. */
  of(text: string): string {
    const [, rest] = text.split(this.#begin)
    const end = rest?.indexOf(this.#end) ?? -1
    if (rest === undefined || end < 0) throw new Error(`there is no place for ${this.#begin.trim()}`)
    return rest.slice(0, end)
  }

  /** The text with another part in its place. */
  replaced(text: string, part: string): string {
    return text.replace(this.#begin + this.of(text), () => this.#begin + part)
  }
}

/** README's tables of figures, by the major version of Node. */
export const figures: Readonly<Record<number, MarkedPart>> = {
  20: new MarkedPart('npm run bench -- --chart'),
  24: new MarkedPart('npm run bench -- --node 24 --chart'),
}
