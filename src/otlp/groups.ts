import type { InstrumentationScope, ReadableSpan, RecordTable, Resource } from '../types.ts'

/** Encodes what stands in front of the spans of a group. */
export interface GroupFormat {
  /** The beginning of a `ResourceSpans`, up to its scopes. */
  resource(resource: Resource): Uint8Array
  /** The beginning of a `ScopeSpans`, up to its spans. */
  scope(scope: InstrumentationScope): Uint8Array
}

/** The groups of one resource. */
export interface ResourceGroups {
  /** The resource's content, by which equal ones are recognised; undefined while attributes are pending. */
  readonly key: string | undefined
  readonly byScope: WeakMap<InstrumentationScope, Group>
  readonly byContent: Map<string, Group>
  /** The encoded resource, once it is settled. */
  prefix: Uint8Array | undefined
  /** The resource, until it is settled. */
  pending: Resource | undefined
}

/** The spans of one scope in one resource. */
export interface Group {
  readonly id: number
  readonly scopeName: string
  readonly key: string
  readonly owner: ResourceGroups
  readonly prefix: Uint8Array
}

/** The records of one group in a batch: a list linked through `RecordList.next`. */
export interface Section {
  readonly group: Group
  readonly first: number
  last: number
  bytes: number
}

/** The sections of one resource. */
export interface ResourceSections {
  readonly prefix: Uint8Array
  readonly sections: Section[]
}

interface Recent {
  readonly resource: Resource
  readonly scope: InstrumentationScope
  readonly group: Group
}

const RECENT_MAX = 4

const NO_RESOURCE: Resource = { attributes: {} }
const NO_SCOPE: InstrumentationScope = { name: '' }

function isPending(resource: Resource): boolean {
  try {
    return resource.asyncAttributesPending === true
  } catch {
    return false
  }
}

/** The bytes as a string that can be a key. */
function keyOf(bytes: Uint8Array): string {
  let key = ''
  for (let i = 0; i < bytes.length; i++) key += String.fromCharCode(bytes[i])
  return key
}

/**
 * The (resource, scope) pairs that have been seen. Spans are grouped by identity first, and by content where that
 * fails, since an SDK may make a scope anew for each tracer. Resource and scope are encoded once, with one exception: a
 * resource that has attributes pending is encoded whenever a batch is framed, until they have settled.
 */
export class Groups {
  readonly #format: GroupFormat
  readonly #groups: (Group | undefined)[] = []
  readonly #free: number[] = []
  readonly #byResource = new WeakMap<Resource, ResourceGroups>()
  readonly #byContent = new Map<string, ResourceGroups>()
  readonly #pending = new Set<ResourceGroups>()
  /** The last few that were asked for, with what they were asked by; the one to be replaced next. */
  #recent: Recent[] = []
  #oldest = 0

  constructor(format: GroupFormat) {
    this.#format = format
  }

  /** How many groups are remembered. */
  get count(): number {
    return this.#groups.length - this.#free.length
  }

  /** The group of a span. */
  of(span: ReadableSpan): Group {
    const resource = span.resource ?? NO_RESOURCE
    const scope = span.instrumentationScope ?? span.instrumentationLibrary ?? NO_SCOPE
    const recent = this.#recent
    for (let i = 0; i < recent.length; i++) {
      if (recent[i].scope === scope && recent[i].resource === resource) return recent[i].group
    }
    let owner = this.#byResource.get(resource)
    let group = owner?.byScope.get(scope)
    if (group === undefined || this.#groups[group.id] !== group) {
      const prefix = this.#format.scope(scope)
      // A resource without groups has been forgotten.
      if (owner === undefined || owner.byContent.size === 0) owner = this.#ownerOf(resource)
      group = this.#groupOf(owner, prefix, scope)
      owner.byScope.set(scope, group)
    }
    this.#recent[this.#oldest] = { resource, scope, group }
    this.#oldest = (this.#oldest + 1) % RECENT_MAX
    return group
  }

  #ownerOf(resource: Resource): ResourceGroups {
    const pending = isPending(resource)
    const prefix = pending ? undefined : this.#format.resource(resource)
    const key = prefix === undefined ? undefined : keyOf(prefix)
    let owner = key === undefined ? undefined : this.#byContent.get(key)
    if (owner === undefined) {
      owner = {
        key,
        byScope: new WeakMap(),
        byContent: new Map(),
        prefix,
        pending: pending ? resource : undefined,
      }
      if (key !== undefined) this.#byContent.set(key, owner)
      else this.#pending.add(owner)
    }
    this.#byResource.set(resource, owner)
    return owner
  }

  #groupOf(owner: ResourceGroups, prefix: Uint8Array, scope: InstrumentationScope): Group {
    const key = keyOf(prefix)
    let group = owner.byContent.get(key)
    if (group === undefined) {
      const id = this.#free.pop() ?? this.#groups.length
      group = { id, scopeName: String(scope.name), key, owner, prefix }
      this.#groups[group.id] = group
      owner.byContent.set(key, group)
    }
    return group
  }

  /** What the scope of a group calls itself. */
  scopeName(id: number): string {
    return this.#groups[id]?.scopeName ?? ''
  }

  /** Forgets the groups that are not in `live`. */
  retain(live: ReadonlySet<number>): void {
    this.#recent = []
    this.#oldest = 0
    for (const group of this.#groups) {
      if (group === undefined || live.has(group.id)) continue
      this.#groups[group.id] = undefined
      this.#free.push(group.id)
      const { owner } = group
      owner.byContent.delete(group.key)
      if (owner.byContent.size > 0) continue
      this.#pending.delete(owner)
      if (owner.key !== undefined) this.#byContent.delete(owner.key)
    }
  }

  /** Settles when no resource that was seen has attributes pending; `undefined` when none has. Never rejects. */
  whenSettled(): Promise<void> | undefined {
    const waits: Promise<void>[] = []
    for (const owner of this.#pending) {
      if (owner.pending && isPending(owner.pending)) waits.push(this.#settle(owner, owner.pending))
      else this.#pending.delete(owner)
    }
    if (waits.length === 0) return undefined
    return Promise.all(waits).then(() => undefined)
  }

  #settle(owner: ResourceGroups, resource: Resource): Promise<void> {
    const settled = (): void => {
      this.#pending.delete(owner)
    }
    // Not kept for others: on Workers the promise of one request hangs in another.
    return (async () => resource.waitForAsyncAttributes?.())().then(settled, settled)
  }

  /** What stands in front of the scopes of a resource. */
  #prefixOf(owner: ResourceGroups): Uint8Array {
    if (owner.prefix !== undefined) return owner.prefix
    const resource = owner.pending as Resource
    const settled = !this.#pending.has(owner) || !isPending(resource)
    let prefix: Uint8Array
    try {
      prefix = this.#format.resource(resource)
    } catch {
      // A resource that cannot be encoded must not cost the batch.
      prefix = this.#format.resource(NO_RESOURCE)
    }
    if (settled) {
      owner.prefix = prefix
      owner.pending = undefined
      this.#pending.delete(owner)
    }
    return prefix
  }

  /**
   * Sorts the records of a batch by group, in one pass, in the order in which each resource and scope first occurs.
   * @param next - Receives, for each record, the next one of its group, or -1.
   */
  arrange(records: RecordTable, next: Int32Array): ResourceSections[] {
    const resources = new Map<ResourceGroups, ResourceSections>()
    const sections: (Section | undefined)[] = new Array(this.#groups.length).fill(undefined)
    for (let i = 0; i < records.count; i++) {
      const id = records.groups[i]
      const section = sections[id]
      next[i] = -1
      if (section !== undefined) {
        next[section.last] = i
        section.last = i
        section.bytes += records.lengths[i]
        continue
      }
      const group = this.#groups[id]
      if (group === undefined) throw new Error(`Group ${id} has been forgotten`)
      const added: Section = { group, first: i, last: i, bytes: records.lengths[i] }
      sections[id] = added
      const resource = resources.get(group.owner)
      if (resource !== undefined) resource.sections.push(added)
      else resources.set(group.owner, { prefix: this.#prefixOf(group.owner), sections: [added] })
    }
    return [...resources.values()]
  }
}

/**
 * Copies the records of a section to `body[at]` and notes where each of them comes to lie. Neighbours are copied in
 * one go.
 * @param first - The first byte of the first record, which separates it from what precedes it.
 * @param other - The same of the others.
 * @returns The end of the copy.
 */
export function copySection(
  section: Section,
  next: Int32Array,
  records: RecordTable,
  body: Uint8Array,
  at: number,
  first: number,
  other: number,
): number {
  const { buffers, offsets, lengths } = records
  let i = section.first
  let end = at
  let separator = first
  while (i >= 0) {
    const buffer = buffers[i]
    const from = offsets[i]
    const start = end
    let to = from
    do {
      const length = lengths[i]
      offsets[i] = end
      end += length
      to += length
      i = next[i]
    } while (i >= 0 && buffers[i] === buffer && offsets[i] === to)
    body.set(buffer.subarray(from, to), start)
    body[start] = separator
    separator = other
  }
  return end
}
