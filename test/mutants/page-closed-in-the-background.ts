import type { Mutant } from './mutant.ts'

export default {
  why: 'B55: what a background tab ended is lost when it is closed',
  file: 'src/lifecycle/page-hide.ts',
  find: "const onPageHide = () => tell('left')",
  replace: "const onPageHide = () => {\n    if (!isHidden) tell('left')\n  }",
  tests: ['test/lifecycle/browser.test.ts'],
} satisfies Mutant
