/** What an answer means for the batch that is out: settled, halved, tried again, set aside, given up. */
import type { ExpectedPace } from './expected-pace.ts'
import type { ExpectedPlaces, Piece } from './expected-places.ts'
import { isRoundOver, type Settings, sendsOnce } from './settings.ts'

/** What the backend said, as far as it matters. */
export type Answer =
  | { readonly kind: 'delivered'; readonly rejected: number }
  | { readonly kind: 'final' | 'too_large' }
  | { readonly kind: 'retryable'; readonly retryAfterMillis?: number; readonly staleSocket?: boolean }

export class ExpectedVerdicts {
  readonly #places: ExpectedPlaces
  readonly #pace: ExpectedPace
  readonly #settings: Settings
  /** The batch that was set aside for a neighbour, and whether the neighbour got through. */
  #suspect: { readonly piece: Piece; isAlone: boolean } | undefined
  /** Neighbours that failed since the backend last answered: they decide nothing. */
  readonly #failedNeighbours = new Set<Piece>()

  constructor(places: ExpectedPlaces, pace: ExpectedPace, settings: Settings) {
    this.#places = places
    this.#pace = pace
    this.#settings = settings
  }

  /** The batch that is out shows whether the one set aside is to blame for its failures, or the backend. */
  get isDeciding(): boolean {
    const { held } = this.#places
    return this.#suspect !== undefined && held !== undefined && held !== this.#suspect.piece
  }

  answered(answer: Answer, wasFrozen: boolean, now: number): void {
    const { held, parked } = this.#places
    if (held === undefined) return
    if (answer.kind === 'retryable') {
      this.#failed(held, answer, wasFrozen, now)
      return
    }
    this.#pace.answered()
    if (this.#suspect !== undefined && this.isDeciding) this.#suspect.isAlone = true
    this.#settle(held, answer)
    this.#failedNeighbours.clear()
    if (this.#suspect !== undefined && !parked.includes(this.#suspect.piece)) this.#suspect = undefined
  }

  #settle({ spans }: Piece, answer: Answer): void {
    const places = this.#places
    if (answer.kind === 'delivered') places.heldSettled('exported', Math.min(answer.rejected, spans.length))
    else if (answer.kind === 'final') places.heldSettled('failed')
    else if (spans.length > 1) places.halve()
    else places.heldSettled('span_too_large')
  }

  #failed(piece: Piece, answer: Answer & { kind: 'retryable' }, wasFrozen: boolean, now: number): void {
    const { retryAfterMillis } = answer
    const isDeadSocket = answer.staleSocket === true || wasFrozen
    if (isDeadSocket && retryAfterMillis === undefined && !piece.hadFreeRetry) {
      piece.hadFreeRetry = true
      return
    }
    const isConvicted = this.#suspect?.piece === piece && this.#suspect.isAlone
    if (isConvicted) this.#pace.askedForPatience(now, retryAfterMillis)
    else this.#pace.failed({ now, wasFrozen, retryAfterMillis })
    if (isConvicted || sendsOnce(this.#settings)) {
      this.#suspect = undefined
      this.#places.heldSettled('retry_exhausted')
      return
    }
    piece.attempts++
    piece.hadFreeRetry = false
    if (this.#suspect !== undefined) {
      // Both the suspect and its neighbour fail: nobody is to blame.
      this.#suspect = undefined
      this.#failedNeighbours.add(piece)
      this.#places.putBack()
    } else if (this.#isUsedUp(piece, now)) {
      this.#letNeighbourTry(piece)
    }
  }

  #isUsedUp(piece: Piece, now: number): boolean {
    const { retry } = this.#settings
    const attempts = retry === false ? 1 : retry.maxAttempts
    return (
      piece.attempts >= attempts - 1 ||
      isRoundOver(piece.roundStartedAt, now + this.#pace.nominalBackoffMillis, this.#settings)
    )
  }

  #letNeighbourTry(piece: Piece): void {
    const places = this.#places
    const neighbour = places.take(this.#failedNeighbours)
    // Nobody to compare with: the batch is tried again.
    if (neighbour === undefined) return
    places.putBack()
    places.held = neighbour
    this.#suspect = { piece, isAlone: false }
  }
}
