// Imports the SDK, then what is measured. Nothing is imported before.
const { variant, settings } = JSON.parse(process.argv[2])
await import(settings.sdk)
const start = performance.now()
await import(settings[variant])
const millis = performance.now() - start
process.stdout.write(`${JSON.stringify({ millis })}\n`)
