import type { Attributes } from '@opentelemetry/api'
import { type Piece, Slab } from './pieces.ts'
import { hasMissed, type Slot, STRING_LENGTH_MAX, slotOf } from './slots.ts'
import { interned, isOwn, lengthOf } from './values.ts'
import type { Writer } from './writer.ts'

/** Bounds on what is remembered; whatever exceeds them is encoded without. */
const TEMPLATES_MAX = 512
const BYTES_MAX = 256 * 1024
const TEMPLATE_BYTES_MAX = 8 * 1024

/** For how many spans nothing is remembered after too many names have come. */
const PAUSE_SPANS = 8192

/** How far ahead a key is looked for that is not where the template has it. */
const LOOKAHEAD = 4

/** How many more strings than the first are remembered of a slot, and after how many vain comparisons none is. */
const OTHERS_MAX = 6
const MISSES_MAX = 32

/** What a format knows about an attribute. */
export interface AttributeFormat<W extends Writer> {
  /** Writes an attribute and sets `writer.valueAt` to where its value begins, 0 if the value cannot be exchanged. */
  attribute(writer: W, key: string, value: unknown): void
  /** Writes the value, and what follows it, of the attribute that begins at `start`. */
  value(writer: W, start: number, value: unknown): void
}

/**
 * The attributes of an earlier span of one name, and the bytes that they became:
 *
 *     head | key₀ value₀ | key₁ value₁ | key₂ value₂ | …
 *          ↑ slot 0: start                    ↑ slot 2: valueStart
 *
 * As long as the next span has the same keys and values, the bytes are only copied, in one go; where a value differs,
 * the copy goes up to and including its key.
 */
interface Template {
  /** How many spans have asked for it. */
  uses: number
  /** At how many uses it is learnt anew, from the span at hand: the first one may have been an odd one. */
  relearnAt: number
  piece: Piece
  headEnd: number
  slots: Slot[]
}

const NOTHING = /* @__PURE__ */ new Slab().add(new Uint8Array(0), 0, 0)

/** Remembers how the spans of a name look, since most look the same but for a few values. */
export class Templates<W extends Writer & { valueAt: number }> {
  readonly #format: AttributeFormat<W>
  /** By span kind, then by span name. */
  readonly #byKind: Map<string, Template>[] = Array.from({ length: 6 }, () => new Map())
  #slab = new Slab()
  #count = 0
  /** What was taken of the slab, for what has been exchanged since, too: nothing is given back one by one. */
  #bytes = 0
  #pause = 0

  constructor(format: AttributeFormat<W>) {
    this.#format = format
  }

  /**
   * Writes what depends on the name and the kind only, then the attributes.
   * @param kind - As in OTLP.
   */
  write(
    writer: W,
    kind: number,
    name: string,
    attributes: Attributes,
    writeHead: (writer: W, kind: number, name: string) => void,
  ): void {
    const template = this.#find(kind, name)
    if (template === undefined || ++template.uses < 2) {
      writeHead(writer, kind, name)
      this.#plain(writer, attributes)
    } else if (template.uses >= template.relearnAt) {
      this.#learn(writer, kind, name, attributes, template, writeHead)
    } else {
      this.#follow(writer, attributes, template)
    }
  }

  #find(kind: number, name: string): Template | undefined {
    const byName = this.#byKind[kind]
    const template = byName?.get(name)
    if (template !== undefined || byName === undefined || lengthOf(name) > STRING_LENGTH_MAX) return template
    if (this.#pause > 0) {
      this.#pause--
      return undefined
    }
    if (this.#count >= TEMPLATES_MAX) this.#evict()
    const added: Template = {
      uses: 0,
      relearnAt: 2,
      piece: NOTHING,
      headEnd: 0,
      slots: [],
    }
    byName.set(interned(name), added)
    this.#count++
    return added
  }

  /** Forgets the names that came only once, and, if these were not the problem, all. */
  #evict(): void {
    for (const byName of this.#byKind) {
      for (const [name, template] of byName) {
        if (template.uses < 2 && byName.delete(name)) this.#count--
      }
    }
    if (this.#count > TEMPLATES_MAX / 2 || this.#bytes > BYTES_MAX / 2) {
      for (const byName of this.#byKind) byName.clear()
      this.#slab = new Slab()
      this.#count = 0
      this.#bytes = 0
    }
    this.#pause = PAUSE_SPANS
  }

  #plain(writer: W, attributes: Attributes): void {
    const format = this.#format
    for (const key in attributes) {
      if (isOwn(attributes, key)) format.attribute(writer, key, attributes[key])
    }
  }

  #learn(
    writer: W,
    kind: number,
    name: string,
    attributes: Attributes,
    template: Template,
    writeHead: (writer: W, kind: number, name: string) => void,
  ): void {
    const format = this.#format
    const slots: Slot[] = []
    const from = writer.at
    writeHead(writer, kind, name)
    const headEnd = writer.at - from
    let start = headEnd
    for (const key in attributes) {
      if (!isOwn(attributes, key)) continue
      const value = attributes[key]
      format.attribute(writer, key, value)
      const end = writer.at - from
      const valueStart = Math.max(writer.valueAt - from, start)
      slots.push(slotOf(key, value, start, valueStart, end, template.slots[slots.length]))
      start = end
    }
    template.relearnAt *= 4
    const isKept = start <= TEMPLATE_BYTES_MAX
    template.headEnd = headEnd
    template.slots = isKept ? slots : []
    const end = from + (isKept ? start : headEnd)
    const { piece } = template
    template.piece = piece.overwritten(writer.bytes, from, end) ?? this.#keep(writer.bytes, from, end)
  }

  #keep(source: Uint8Array, from: number, to: number, text?: string): Piece {
    const piece = this.#slab.add(source, from, to, text)
    this.#bytes += piece.length
    if (this.#bytes > BYTES_MAX) this.#evict()
    return piece
  }

  #follow(writer: W, attributes: Attributes, template: Template): void {
    const { slots } = template
    let at = 0
    // What is copied next lies between these.
    let from = 0
    let to = template.headEnd
    for (const key in attributes) {
      if (!isOwn(attributes, key)) continue
      const value = attributes[key]
      if (at === slots.length || key !== slots[at].key) {
        const found = indexOfKey(slots, key, at + 1)
        if (found < 0) {
          writer.piece(template.piece, from, to)
          from = to
          this.#format.attribute(writer, key, value)
          continue
        }
        writer.piece(template.piece, from, to)
        at = found
        from = slots[at].start
      }
      const slot = slots[at++]
      to = slot.end
      if (typeof value === 'string') {
        if (!slot.isText) this.#exchange(writer, template, slot, from, value)
        else if (value === slot.text) continue
        else this.#other(writer, template, slot, from, value)
      } else {
        if (value === slot.scalar) continue
        this.#exchange(writer, template, slot, from, value)
      }
      from = to
    }
    writer.piece(template.piece, from, to)
  }

  /** Writes the template from `from` up to a slot, with another value in it. */
  #exchange(
    writer: W,
    template: Template,
    { start, valueStart, key }: Slot,
    from: number,
    value: unknown,
  ): void {
    writer.piece(template.piece, from, valueStart)
    if (valueStart > start) this.#format.value(writer, writer.at - (valueStart - start), value)
    else this.#format.attribute(writer, key, value)
  }

  /** The same for a string, which may have been seen here before. */
  #other(writer: W, template: Template, slot: Slot, from: number, value: string): void {
    const { others, start } = slot
    for (let i = 0; i < others.length; i++) {
      const other = others[i]
      if (other.text !== value) continue
      writer.piece(template.piece, from, start)
      writer.piece(other)
      if (slot.misses > 0) slot.misses--
      return
    }
    const attributeStart = writer.at + start - from
    this.#exchange(writer, template, slot, from, value)
    if (++slot.misses > MISSES_MAX) {
      slot.isText = false
      slot.others = []
    } else if (others.length < OTHERS_MAX && lengthOf(value) <= STRING_LENGTH_MAX && hasMissed(slot, value)) {
      slot.others = others.concat(this.#keep(writer.bytes, attributeStart, writer.at, interned(value)))
    }
  }
}

/** Where the key is, if it is not far ahead; else -1. */
function indexOfKey(slots: Slot[], key: string, start: number): number {
  const end = Math.min(start + LOOKAHEAD, slots.length)
  for (let i = start; i < end; i++) if (slots[i].key === key) return i
  return -1
}
