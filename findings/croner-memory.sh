#!/usr/bin/env bash
# What one expression takes in croner 11, that has neither a timer nor a job.
#
# Guess: a few hundred bytes: a bit or a byte for each second, minute, hour, day, month and day of the week.
# Seen with croner 11.0.1: some 80 KB, nearly all of it an array with a number for each of ten thousand years. A thousand
# schedules take 80 MB, whatever their expressions are.
# So instances are shared by those who have the same expression, or made when they are needed.
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

const heapBytes = () => {
  gc()
  return process.memoryUsage().heapUsed
}
const before = heapBytes()
const kept = Array.from({ length: 500 }, () => new Cron('0 3 * * *', { paused: true }))
const bytesEach = (heapBytes() - before) / kept.length
console.log(`tens of kilobytes each: ${Math.round(bytesEach / 10_000)}`)
EOF

echo 'tens of kilobytes each: 8' > expected.txt
node --expose-gc look.mjs | tee seen.txt
diff expected.txt seen.txt && echo 'as seen before'
