/**
 * Measures tailrace against the stock SDK. SIGINT ends it with what has been answered by then.
 *
 *     npm run bench                                   every question but kafka, and a table
 *     npm run bench -- encode-protobuf gc             some of them
 *     npm run bench -- kafka                          against a broker: takes Java 17, and Maven the first time
 *     npm run bench -- --node 24                      on the Node that the fixture brings, against SDK 3 (20: SDK 2)
 *     npm run bench -- --rounds 15                    more rounds than 7
 *     npm run bench -- --quick                        the guard of CI, in short: fails if a ratio is below half of what
 *                                                     is required in every round
 *     npm run bench -- --json                         the figures of every round, instead of the table
 *     npm run bench -- --chart                        draws bench/chart.svg from the figures, too, and writes README's table
 *                                                     (with --node 24: only its table); all questions must be answered
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createBench } from './harness/bench.ts'
import { chart } from './harness/chart.ts'
import { buildPrograms, prepareFixture } from './harness/fixture.ts'
import { figures } from './harness/marked.ts'
import { type Answer, circumstances, collapsed, table } from './harness/report.ts'
import { QUESTIONS } from './questions.ts'

/** What CI asks: the ratios that an unlucky change would spoil. */
const QUICK_NAMES = ['encode-protobuf', 'encode-json', 'pipeline-cpu', 'pipeline-http']

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    node: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    chart: { type: 'boolean', default: false },
  },
})

function chosenQuestions() {
  const names = positionals.length > 0 ? positionals : values.quick ? QUICK_NAMES : undefined
  if (!names) return QUESTIONS.filter(({ whatIsMissing }) => !whatIsMissing)
  return names.map((name) => {
    const found = QUESTIONS.find((question) => question.name === name)
    if (!found)
      throw new RangeError(`no question ${name}; there are ${QUESTIONS.map(({ name }) => name).join(', ')}`)
    return found
  })
}

const ownMajor = Number.parseInt(process.versions.node, 10)
const rounds = Number(values.rounds ?? (values.quick ? 3 : 7))
if (!Number.isInteger(rounds) || rounds < 1)
  throw new RangeError(`--rounds must be a number, not ${values.rounds}`)
if (values.chart && (values.quick || positionals.length > 0))
  throw new RangeError('--chart draws all questions: it takes neither names nor --quick')
const questions = chosenQuestions()
const fixture = prepareFixture(Number(values.node ?? (ownMajor < 22 ? 20 : 24)))
const programs = await buildPrograms(
  fixture,
  questions.filter(({ measure, turns }) => measure ?? turns).map(({ name }) => name),
)
const bench = createBench(fixture, programs, { rounds, isQuick: values.quick })

// Before an hour of measuring, in which the repository may change.
const where = circumstances(fixture, rounds)
const answers: Answer[] = []
const failures: string[] = []
/** All of them take an hour: whoever has waited for long enough gets those that are answered. */
let isInterrupted = false
process.on('SIGINT', () => {
  isInterrupted = true
})
for (const question of questions) {
  if (isInterrupted) {
    failures.push(`${question.name} was not asked any more`)
    continue
  }
  process.stderr.write(`${question.name}: ${question.title}\n`)
  const missing = await question.whatIsMissing?.()
  if (missing !== undefined) {
    console.log(
      `${process.env.CI ? 'FAILED' : 'SKIPPED, not measured'}: ${question.name}. It takes ${missing}.`,
    )
    if (process.env.CI) failures.push(`${question.name} takes ${missing}`)
    continue
  }
  try {
    answers.push({ question, lines: await question.ask(bench.about(question.name)) })
  } catch (error) {
    // The others may still be answered.
    failures.push(`${question.name}: ${(error as Error).message}`)
  }
}

if (values.json) {
  console.log(
    JSON.stringify({ node: fixture.nodeVersion, versions: fixture.versions, where, answers }, null, 2),
  )
} else {
  console.log(`${where.join('\n')}\n\n${table(answers)}`)
}
if (values.chart) {
  if (failures.length > 0 || positionals.length > 0)
    failures.push('chart and table are of all questions, or not written')
  else draw()
}
if (values.quick) failures.push(...collapsed(answers))
for (const failure of failures) console.error(`FAIL: ${failure}`)
process.exitCode = failures.length > 0 ? 1 : 0

/** Writes the figures into README, and those of Node 20 into the chart. */
function draw(): void {
  const command = ['npm run bench --', ...process.argv.slice(2)].join(' ')
  if (fixture.nodeMajor === 20) {
    const file = fileURLToPath(new URL('chart.svg', import.meta.url))
    writeFileSync(file, chart(answers, [command, ...where]))
  }
  const readme = fileURLToPath(new URL('../README.md', import.meta.url))
  const part = [table(answers), '', [`\`${command}\``, ...where].join('; ')].join('\n')
  writeFileSync(readme, figures[fixture.nodeMajor].replaced(readFileSync(readme, 'utf8'), part))
  process.stderr.write('README has the figures\n')
}
