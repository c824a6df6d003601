/** Spans to a Kafka topic, as the OpenTelemetry Collector's Kafka receiver reads them. */
export { KafkaTraceExporter, type KafkaTraceExporterOptions } from './kafka/exporter.ts'
export type { KafkaMessage, KafkaProducer, KafkaRecord } from './kafka/producer.ts'
