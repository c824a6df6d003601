// The least that a package of ours can be: the API, and a file of its own.
import '@opentelemetry/api'
