/** A function on Cloud Run, where the CPU stops with the response and is back for SIGTERM. */
import { http } from '@google-cloud/functions-framework'
import { flushAfterResponse } from 'tailrace/express'
import { shutdownOnSignal } from 'tailrace/node'
import { processor } from './tracing.ts'

const flush = flushAfterResponse({ processor, holdResponse: true })
shutdownOnSignal(processor) // for the server span, which ends with the response

http('hello', (request, response) => flush(request, response, () => response.send('hello')))
