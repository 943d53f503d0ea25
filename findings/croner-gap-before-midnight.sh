#!/usr/bin/env bash
# A daily job at 23:30 in croner 11, in a zone whose spring change leaves out the hour before midnight: Nuuk, each year.
#
# Guess: as elsewhere in croner a time that is left out comes at the first instant behind the change. The reference says
# so of jobs with one time of day, and with `fixedTimeRule: 'no-wildcard'` of lists too.
# Seen with croner 11.0.1: it does not come at all when the first instant behind the change is on the next date. In New
# York 02:30 comes at 03:00, in Nuuk 23:30 never comes, with either rule. A weekly job misses its week.
# So an hour of clock change is not enough to know; the date behind it matters as well.
#
# Run with Node.js 20 or newer and npm. Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y > npm.log
npm install --no-audit --no-fund --save-exact croner@11.0.1 >> npm.log 2>&1

cat > look.mjs << 'EOF'
import { Cron } from 'croner'

const cases = [
  ['30 2 * * *', 'America/New_York', '2027-03-13T12:00:00Z'],
  ['30 23 * * *', 'America/Nuuk', '2027-03-27T12:00:00Z'],
  ['30 23 * * SAT', 'America/Nuuk', '2027-03-27T12:00:00Z']
]
for (const [expression, timezone, from] of cases) {
  for (const fixedTimeRule of ['single-value', 'no-wildcard']) {
    const next = new Cron(expression, { paused: true, timezone, fixedTimeRule }).nextRun(new Date(from))
    console.log(`${expression} ${timezone} ${fixedTimeRule}: ${next.toISOString().slice(0, 16)}`)
  }
}
EOF

cat > expected.txt << 'EOF'
30 2 * * * America/New_York single-value: 2027-03-14T07:00
30 2 * * * America/New_York no-wildcard: 2027-03-14T07:00
30 23 * * * America/Nuuk single-value: 2027-03-29T00:30
30 23 * * * America/Nuuk no-wildcard: 2027-03-29T00:30
30 23 * * SAT America/Nuuk single-value: 2027-04-04T00:30
30 23 * * SAT America/Nuuk no-wildcard: 2027-04-04T00:30
EOF

node look.mjs | tee seen.txt
diff expected.txt seen.txt && echo 'as seen before'
