/**
 * What the benches encode: 24,576 spans of a shop, a sixth of them HTTP servers, half database clients, a third
 * internal, in traces of 6 on average. Seeded, so the same in every run; made into spans by the real SDK (corpus/spans.ts).
 *
 * What is on a span, with the number of distinct values in the corpus:
 *
 *     name, kind             45   (20 of servers, 17 of database clients, 8 of internal spans)
 *     HTTP server, 12 to 16 attributes: method 5, scheme 1, route 18, protocol 2, status 10, error type 4, host 3,
 *                            port 1, user agent 16, peer address 8, client address 2,258, customer 1,834;
 *                            path, query, peer port, body size: most are different
 *     database, 9 to 14:     system 2, namespace 3, operation 10, collection 7, text 18, summary 11, server 4,
 *                            port 2, peer 4, pool 3, rows 200, status code 3, error type 1; parameter: all different
 *     internal, 11 to 14:    function 8, file 8, line 8, tenant 64, currency 4, country 8, flag 2, items 12, name 24
 *                            (half not ASCII), search 16 (a quarter not ASCII), skus (a list) 1,668, customer 3,859;
 *                            order, total: all different
 *     events on a third of the internal spans, 1 to 3 with 2 or 3 attributes; exceptions with a stack of some 600
 *     characters on 6 % of them and 1 % of the database spans; remote parents on half of the servers; a link on 1 %
 *
 * Text that a program reads from a socket is a fresh string for each span, as it is there: equal ones are not
 * identical. Text that stands in the program (keys, routes, queries) is one string.
 */
import { type Attributes, type HrTime, SpanKind } from '@opentelemetry/api'
import { Random } from './corpus/random.ts'
import * as values from './corpus/values.ts'

export const CORPUS_SPANS = 24_576

/** The scopes by which a recipe's `scope` is a number. */
export const SCOPES: readonly (readonly [name: string, version: string])[] = [
  ['@opentelemetry/instrumentation-http', '0.223.0'],
  ['@opentelemetry/instrumentation-pg', '0.70.0'],
  ['@opentelemetry/instrumentation-redis', '0.66.0'],
  ['shop', '4.2.0'],
]

/** What an SDK has to be told to make a span. */
export interface SpanRecipe {
  readonly name: string
  readonly kind: SpanKind
  readonly scope: number
  /** How many of its ancestors are in this process. */
  readonly depth: number
  readonly startTime: HrTime
  readonly endTime: HrTime
  /** Known when it starts, and when it ends. */
  readonly attributes: Attributes
  readonly endAttributes: Attributes
  readonly events: readonly {
    readonly name: string
    readonly attributes: Attributes
    readonly time: HrTime
  }[]
  readonly error: { readonly name: string; readonly message: string; readonly stack: string } | undefined
  readonly link: { readonly traceId: string; readonly spanId: string } | undefined
}

/** A trace as far as it is in this process: the spans in the order of their starts, parents before children. */
export interface TraceRecipe {
  readonly remote:
    | { readonly traceId: string; readonly spanId: string; readonly traceState: string }
    | undefined
  readonly spans: readonly SpanRecipe[]
}

const EPOCH_SECONDS = 1_760_000_000

/** A string of its own, as one that has come over a socket. */
function read(text: string): string {
  return Buffer.from(text).toString()
}

/** Makes traces for ever. */
class Shop {
  readonly #random: Random
  #clockNanos = 0
  #orders = 0

  constructor(seed: number) {
    this.#random = new Random(seed)
  }

  trace(): TraceRecipe {
    const random = this.#random
    const spans: SpanRecipe[] = []
    // Some 300 requests a second.
    this.#clockNanos += random.integer(100_000, 6_500_000)
    const remote = random.chance(0.5)
      ? {
          traceId: read(random.hex(32)),
          spanId: read(random.hex(16)),
          traceState: random.chance(0.1) ? 'edge=a1,mesh=7f' : '',
        }
      : undefined
    const fails = random.chance(0.02)
    spans.push(this.#server(fails))
    for (let i = random.integer(0, 3); i > 0; i--) spans.push(this.#database(1))
    for (let i = random.integer(1, 4); i > 0; i--) {
      spans.push(this.#internal(fails && i === 1))
      for (let j = random.integer(0, 3); j > 0; j--) spans.push(this.#database(2))
    }
    return { remote, spans: spans.map((span, i) => ({ ...span, endTime: lastEnd(spans, i) })) }
  }

  #server(fails: boolean): SpanRecipe {
    const random = this.#random
    const [method, route] = random.skewed(values.ROUTES)
    const path = route.replace(/:\w+/g, () => String(random.integer(10_000, 99_999_999)))
    const query = route.endsWith('search')
      ? `q=${encodeURIComponent(random.pick(values.SEARCHES))}&page=${random.integer(1, 400)}`
      : random.chance(0.2)
        ? `session=${random.hex(12)}&lang=${random.pick(values.COUNTRIES)}`
        : undefined
    const client = random.integer(0, 3000)
    const status = fails
      ? random.pick([500, 502, 503, 504])
      : random.skewed([200, 200, 200, 200, 201, 204, 304, 400, 404])
    return this.#span(`${method} ${route}`, SpanKind.SERVER, 0, 0, {
      attributes: {
        'http.request.method': method,
        'url.scheme': 'https',
        'url.path': read(path),
        ...(query && { 'url.query': read(query) }),
        'server.address': read(random.skewed(values.HOSTS)),
        'server.port': 443,
        'client.address': read(`203.0.${client >> 8}.${client & 255}`),
        'network.peer.address': read(`10.4.0.${random.integer(11, 19)}`),
        'network.peer.port': random.integer(32_768, 61_000),
        'network.protocol.version': read(random.skewed(['1.1', '2'])),
        'user_agent.original': read(random.skewed(values.USER_AGENTS)),
      },
      endAttributes: {
        'http.route': route,
        'http.response.status_code': status,
        ...(status !== 204 && status !== 304 && { 'http.response.body.size': random.integer(120, 90_000) }),
        ...(random.chance(0.6) && { 'enduser.id': read(`cus_${this.#customer()}`) }),
        ...(fails && { 'error.type': String(status) }),
      },
    })
  }

  #database(depth: number): SpanRecipe {
    const random = this.#random
    if (random.chance(0.3)) return this.#command(depth)
    const [operation, collection, text] = random.skewed(values.QUERIES)
    const server = random.integer(1, 4)
    const error = random.chance(0.02) ? random.pick(['40001', '57014', '23505']) : undefined
    return this.#span(`${operation} ${collection}`, SpanKind.CLIENT, 1, depth, {
      attributes: {
        'db.system.name': 'postgresql',
        'db.namespace': random.skewed(['shop', 'billing']),
        'db.operation.name': operation,
        'db.collection.name': collection,
        'db.query.text': text,
        'db.query.summary': `${operation} ${collection}`,
        'db.query.parameter.0': read(String(random.integer(10_000, 99_999_999))),
        'server.address': `pg-${server}.db.internal`,
        'server.port': 5432,
        'network.peer.address': read(`10.8.1.${server}`),
        'db.client.connection.pool.name': `pg-${server}/shop`,
      },
      endAttributes: {
        'db.response.returned_rows': Math.floor(random.next() ** 4 * 200),
        ...(error && { 'db.response.status_code': read(error), 'error.type': 'DatabaseError' }),
      },
      error: error && { type: 'DatabaseError', message: `statement failed with ${error}` },
    })
  }

  #command(depth: number): SpanRecipe {
    const random = this.#random
    const command = random.skewed(values.COMMANDS)
    return this.#span(command, SpanKind.CLIENT, 2, depth, {
      attributes: {
        'db.system.name': 'redis',
        'db.namespace': '0',
        'db.operation.name': command,
        'db.query.text': `${command} ?`,
        'db.query.parameter.0': read(`session:${random.hex(16)}`),
        'server.address': 'redis-0.cache.internal',
        'server.port': 6379,
        'network.peer.address': read('10.8.2.1'),
      },
      endAttributes: { 'db.response.returned_rows': random.integer(0, 2) },
    })
  }

  #internal(fails: boolean): SpanRecipe {
    const random = this.#random
    const [name, func, file, line] = random.skewed(values.OPERATIONS)
    const [type, message] = random.pick(values.ERRORS)
    const items = random.integer(1, 13)
    const events = random.chance(0.33) ? random.integer(1, 4) : 0
    return this.#span(name, SpanKind.INTERNAL, 3, 1, {
      attributes: {
        'code.function.name': func,
        'code.file.path': file,
        'code.line.number': line,
        'app.tenant.id': read(`tenant-${random.integer(10, 74)}`),
        'enduser.id': read(`cus_${this.#customer()}`),
        'app.order.id': read(`ord_${(++this.#orders).toString(36).padStart(6, '0')}${random.hex(10)}`),
        'app.country': read(random.skewed(values.COUNTRIES)),
        'app.feature.new_checkout': random.chance(0.3),
      },
      endAttributes: {
        'app.cart.items': items,
        'app.cart.total': random.integer(199, 2_000_000) / 100 + this.#orders / 1e6,
        'app.cart.currency': random.skewed(values.CURRENCIES),
        ...(random.chance(0.4) && { 'app.customer.name': read(random.skewed(values.NAMES)) }),
        ...(random.chance(0.2) && { 'app.search.text': read(random.pick(values.SEARCHES)) }),
        ...(random.chance(0.2) && {
          'app.cart.skus': Array.from({ length: Math.min(items, 4) }, () =>
            read(`SKU-${random.integer(10_000, 40_000)}`),
          ),
        }),
      },
      events,
      error: fails || random.chance(0.05) ? { type, message: `${message} (${random.hex(6)})` } : undefined,
      link: random.chance(0.03) ? { traceId: random.hex(32), spanId: random.hex(16) } : undefined,
    })
  }

  #span(
    name: string,
    kind: SpanKind,
    scope: number,
    depth: number,
    {
      events = 0,
      ...parts
    }: Pick<SpanRecipe, 'attributes' | 'endAttributes'> & {
      events?: number
      error?: { type: string; message: string } | '' | undefined
      link?: SpanRecipe['link']
    },
  ): SpanRecipe {
    const startTime = this.#pass(1_000, 90_000)
    const { error } = parts
    return {
      name,
      kind,
      scope,
      depth,
      startTime,
      attributes: parts.attributes,
      endAttributes: parts.endAttributes,
      events: Array.from({ length: events }, () => this.#event()),
      error: error ? { name: error.type, message: error.message, stack: stackOf(error) } : undefined,
      link: parts.link,
      endTime: this.#pass(80_000, 9_000_000),
    }
  }

  #event(): SpanRecipe['events'][number] {
    const random = this.#random
    const time = this.#pass(1_000, 50_000)
    if (random.chance(0.5)) {
      const hit = random.chance(0.8)
      const attributes = { 'cache.key': read(`product:${random.integer(10_000, 99_999)}`), 'cache.hit': hit }
      return { name: 'cache lookup', attributes, time }
    }
    const attributes = {
      'feature_flag.key': random.pick(['new_checkout', 'dark_mode', 'fast_search']),
      'feature_flag.result.variant': random.pick(['on', 'off']),
      'feature_flag.context.id': read(`cus_${this.#customer()}`),
    }
    return { name: 'feature_flag.evaluation', attributes, time }
  }

  #customer(): number {
    return 100_000 + Math.floor(this.#random.next() ** 1.5 * 5000)
  }

  /** Lets some time pass and says what time it is. */
  #pass(from: number, to: number): HrTime {
    this.#clockNanos += this.#random.integer(from, to)
    return [EPOCH_SECONDS + Math.floor(this.#clockNanos / 1e9), this.#clockNanos % 1e9]
  }
}

/** When a span ends: not before the last of its descendants. */
function lastEnd(spans: readonly SpanRecipe[], from: number): HrTime {
  let last = from
  while (spans[last + 1] && spans[last + 1].depth > spans[from].depth) last++
  return spans[last].endTime
}

function stackOf({ type, message }: { type: string; message: string }): string {
  return read([`${type}: ${message}`, ...values.STACK_TAIL].join('\n    '))
}

/** The traces of the corpus, one after the other, each made anew. */
export function* corpusTraces(seed = 20_260_101): Generator<TraceRecipe> {
  const shop = new Shop(seed)
  for (let spans = 0; spans < CORPUS_SPANS; ) {
    const trace = shop.trace()
    spans += trace.spans.length
    yield trace
  }
}
