/** The commands of `fastify-raft`. */
export type CommandName = 'node' | 'gateway' | 'members' | 'leader' | 'wal' | 'snapshot' | 'local' | 'demo'

/** What `--help` prints, for each command and in general. */
export const helpTexts: Readonly<Record<CommandName | 'general', string>> = {
  general: `Usage: fastify-raft <command> [options]

Commands:
  node      run one node of a cluster, with an example app (orders)
  gateway   run an HTTP gateway that finds the leader and forwards to it
  members   list, add, promote, demote, remove or move members of a running cluster
  leader    say who leads, transfer leadership, or have the leader step down
  wal       look at the log of a node that does not run
  snapshot  look at a snapshot, save one, or start a new cluster from one
  local     run three nodes and a gateway on this machine until Ctrl-C
  demo      kill the leader of such a cluster and check that nothing is lost

Options:
  -h, --help      this text; "fastify-raft <command> --help" says more
  -v, --version   the version
`,

  node: `Usage: fastify-raft node --id <id> [options]

Runs one node. Logs are JSON lines on standard output. SIGTERM and SIGINT close it within 5 seconds.
A flag wins over its environment variable.

Options:
  --id <id>                        who this node is, forever          CLUSTER_ID
  --listen <host:port>             default 127.0.0.1:4001             CLUSTER_LISTEN
  --members <id=url,id=url,...>    all members, this one included;    CLUSTER_MEMBERS
                                   left out: a cluster of one
  --join <url,url,...>             instead of --members: nodes of a   CLUSTER_JOIN
                                   running cluster that let this one in
  --url <url>                      where the others reach this node;  CLUSTER_URL
                                   only with --join
  --data-dir <directory>           log and votes; left out: memory    CLUSTER_DATA_DIR
  --min-free-bytes <n>             refuse writes below so much free    CLUSTER_MIN_FREE_BYTES
                                   space; default 67108864
  --cluster-id <name>              refuses nodes of other clusters    CLUSTER_NAME
  --insecure                       allow members off loopback; peers  CLUSTER_INSECURE=true
                                   are not authenticated
  --heartbeat-ms <ms>              default 100                        CLUSTER_HEARTBEAT_MS
  --election-timeout-min-ms <ms>   default 500                        CLUSTER_ELECTION_TIMEOUT_MIN_MS
  --election-timeout-max-ms <ms>   default 1000                       CLUSTER_ELECTION_TIMEOUT_MAX_MS
  -h, --help                       this text

Example:
  fastify-raft node --id n1 --listen 127.0.0.1:4001 --data-dir ./data/n1 \\
    --members n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002,n3=http://127.0.0.1:4003
`,

  gateway: `Usage: fastify-raft gateway --nodes <url,url,...> [options]

Finds the leader among the nodes, forwards writes to it and reads to any ready node. Logs are JSON lines on standard
output. SIGTERM and SIGINT close it within 5 seconds. A flag wins over its environment variable.

Options:
  --nodes <url,url,...>   base URLs of the nodes     GATEWAY_NODES
  --listen <host:port>    default 127.0.0.1:8080     GATEWAY_LISTEN
  -h, --help              this text
`,

  members: `Usage: fastify-raft members [list | add | promote | demote | remove | set-url] --node <url> [options]

Lists the members of a running cluster, or changes them; any node may be asked. A new member starts as a learner: it
receives the log and does not vote. A node started with --join adds and promotes itself.

Options:
  --node <url>         base URL of any node                            CLUSTER_NODE
  --id <id>            the member to add, promote, demote, remove or move
  --url <url>          add, set-url: where the others reach the member
  --if-version <n>     refuse the change unless the membership is at this version
  -h, --help           this text
`,

  leader: `Usage: fastify-raft leader [show | transfer | step-down] --node <url> [options]

Says who leads a running cluster, hands leadership over, or has the leader step down; any node may be asked.

Options:
  --node <url>         base URL of any node                            CLUSTER_NODE
  --to <id>            transfer: who is to lead; left out: whoever is most caught up
  -h, --help           this text
`,

  wal: `Usage: fastify-raft wal <inspect | verify> <directory> [options]

Reads the data directory of a node that does not run, log and snapshots to the last byte, and writes nothing. "inspect"
says what is in it, "verify" only whether a node would start on it. A write that a crash interrupted is no damage: it
was never acknowledged, and the next start cuts it.

Options:
  --json       one line of JSON
  -h, --help   this text

Exit codes:
  0   the log and the snapshots are sound
  1   something is damaged; the message says what, where, and the two ways out
  2   the command line is wrong
  3   there is no log to be read there, or a running node has it open
`,

  snapshot: `Usage: fastify-raft snapshot <inspect | save | restore> <file> [options]

"inspect" reads a snapshot to its end and says what it is. "save" copies the newest one of a data directory to a new
file, also while its node runs; what was written since is not in it. With --node that node takes one first. "restore"
makes a data directory of it, for a node of a new cluster: run it once for each member, with the same file and options
but for --id and --data-dir.

A fencing token is an index of the log, and the old cluster may have granted tokens after the snapshot. So the new log
starts --skip-entries behind the snapshot: more than the old cluster can have written since. Stop the old cluster first.

Options:
  --data-dir <directory>           save: whose snapshot; restore: what to make, new or empty
  --node <url>                     save: the node that runs on it         CLUSTER_NODE
  --id <id>                        restore: who the node is to be
  --members <id=url,id=url,...>    restore: all members of the new cluster
  --cluster-id <name>              restore: its name; left out: default
  --skip-entries <n>               restore: default 1000000000
  --json                           inspect: one line of JSON
  -h, --help                       this text

Exit codes: 0 done, 1 damaged or refused, 2 the command line is wrong.

Example:
  fastify-raft snapshot save ./orders.snapshot --data-dir ./data/n1
  fastify-raft snapshot restore ./orders.snapshot --data-dir ./new/n1 --id n1 \\
    --members n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002,n3=http://127.0.0.1:4003
`,

  local: `Usage: fastify-raft local [options]

Runs three nodes and a gateway on 127.0.0.1, prints their URLs and who leads, and stops them at Ctrl-C.

Options:
  --first-port <port>      the nodes take this port and the next two; default 4001
  --gateway-port <port>    default 8080
  --data-dir <directory>   an existing directory to keep the data in; left out: a temporary one, removed at the end
  -h, --help               this text
`,

  demo: `Usage: fastify-raft demo [options]

Runs three nodes and a gateway, posts orders, kills the leader with SIGKILL, brings it back and checks that every
acknowledged order is on all three nodes and was sent exactly once. Exits with 0 only if all of that held.

Options:
  --data-dir <directory>   an existing directory, in which a new one keeps the data and the logs of this run;
                           left out: a temporary one, removed at the end
  -h, --help               this text
`
}
