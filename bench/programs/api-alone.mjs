// What our import cannot do without: the API, and a file.
import '@opentelemetry/api'
