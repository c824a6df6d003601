/** What a misbehaving collector can do wrong, named for what it does. */
import { gzipSync } from 'node:zlib'
import { answers, type Behaviour, responseHead, type Stage } from './misbehaving-collector.ts'

const PROTOBUF = { 'content-type': 'application/x-protobuf' }

function behaviour(stage: Stage, act: Behaviour['act']): Behaviour {
  return { stage, act }
}

/** RST on a connection as soon as it is there. */
export function resetsAtAccept(): Behaviour {
  return behaviour('connection', (socket) => socket.resetAndDestroy())
}

/** Takes the connection and reads nothing from it. */
export function hangsAtAccept(): Behaviour {
  return behaviour('connection', (socket) => socket.pause())
}

/** Reads the headers and, of the body, no more than came with them. */
export function hangsWhileReading(): Behaviour {
  return behaviour('headers', (socket) => socket.pause())
}

/** Reads the whole request and says nothing. */
export function hangsAfterReading(): Behaviour {
  return behaviour('request', () => {})
}

/** Reads the whole request and answers when the promise settles. */
export function answersAfter(promise: Promise<unknown>, status: number): Behaviour {
  return behaviour('request', (socket, request) => {
    promise.then(() => answers(status).act(socket, request))
  })
}

/** RST on the headers of a request: on a kept-alive connection, what a server does that had just given it up. */
export function resetsAfterHeaders(): Behaviour {
  return behaviour('headers', (socket) => socket.resetAndDestroy())
}

/** FIN on the headers of a request, without an answer. */
export function closesAfterHeaders(): Behaviour {
  return behaviour('headers', (socket) => socket.destroySoon())
}

/** RST after the whole request was read. */
export function resetsAfterReading(): Behaviour {
  return behaviour('request', (socket) => socket.resetAndDestroy())
}

/** Answers on the headers of a request and never reads its body. */
export function answersBeforeReading(status: number): Behaviour {
  return behaviour('headers', (socket, request) => {
    socket.pause()
    answers(status).act(socket, request)
  })
}

/** Answers, and closes the connection although it had not said so. */
export function answersAndCloses(status: number): Behaviour {
  return behaviour('request', (socket, request) => {
    answers(status).act(socket, request)
    socket.end()
  })
}

/** Sends a status and one byte of the body every `everyMillis`, for ever. */
export function drips(status: number, everyMillis: number): Behaviour {
  return behaviour('request', (socket) => {
    socket.write(responseHead(status, { ...PROTOBUF, 'content-length': '1000000' }))
    const timer = setInterval(() => socket.write('\0'), everyMillis)
    socket.once('close', () => clearInterval(timer))
  })
}

/** Sends headers and a part of the body, and nothing more. */
export function hangsMidResponse(status: number): Behaviour {
  return behaviour('request', (socket) => {
    socket.write(`${responseHead(status, { ...PROTOBUF, 'content-length': '100' })}only this`)
  })
}

/** Promises 100 bytes, sends 9 and ends the connection. */
export function truncatesResponse(status: number, headers: Record<string, string> = {}): Behaviour {
  return behaviour('request', (socket) => {
    socket.end(`${responseHead(status, { ...PROTOBUF, ...headers, 'content-length': '100' })}only this`)
  })
}

/** Promises 100 bytes, sends 9 and resets the connection. */
export function resetsMidResponse(status: number): Behaviour {
  return behaviour('request', (socket) => {
    socket.write(`${responseHead(status, { ...PROTOBUF, 'content-length': '100' })}only this`, () =>
      socket.resetAndDestroy(),
    )
  })
}

/** Says that the body is shorter than it is. */
export function understatesLength(status: number): Behaviour {
  return behaviour('request', (socket) => {
    socket.write(`${responseHead(status, { ...PROTOBUF, 'content-length': '2' })}much more than that`)
  })
}

/** Sends something that is not HTTP. */
export function speaksNonsense(): Behaviour {
  return behaviour('request', (socket) => socket.end('220 smtp.example.com ESMTP\r\n'))
}

/** A body of so many bytes. */
export function answersWithBytes(status: number, bytes: number): Behaviour {
  return answers(status, { headers: PROTOBUF, body: Buffer.alloc(bytes) })
}

/** A small gzipped body that is so many bytes when decompressed. */
export function answersWithGzipBomb(status: number, bytes: number): Behaviour {
  const headers = { ...PROTOBUF, 'content-encoding': 'gzip' }
  return answers(status, { headers, body: gzipSync(Buffer.alloc(bytes)) })
}

/** Rejects some spans, in the encoding of its choice. */
export function rejects(
  rejectedSpans: number | string,
  errorMessage: string,
  encoding: 'protobuf' | 'json' = 'protobuf',
): Behaviour {
  if (encoding === 'json') {
    const body = JSON.stringify({ partialSuccess: { rejectedSpans, errorMessage } })
    return answers(200, { headers: { 'content-type': 'application/json' }, body })
  }
  return answers(200, { headers: PROTOBUF, body: partialSuccessBytes(Number(rejectedSpans), errorMessage) })
}

/** ExportTraceServiceResponse for counts and messages below 128. */
export function partialSuccessBytes(rejectedSpans: number, errorMessage: string): Uint8Array {
  const message = Buffer.from(errorMessage)
  const fields = [0x08, rejectedSpans, 0x12, message.length, ...message]
  return Uint8Array.from([0x0a, fields.length, ...fields])
}
