import '/work/wt/writes/test/raft/transport/joined-appends.test.ts'; import { run } from '/tmp/h/writes/quick/shim.mjs'; await run()
