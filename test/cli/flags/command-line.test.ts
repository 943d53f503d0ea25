import { describe, expect, it } from 'vitest'
import { parseCommandLine } from '../../../src/cli/flags/command-line.ts'
import { UsageError } from '../../../src/cli/flags/flag-values.ts'

const credentials = { tokenFile: null, token: null, adminHeaders: null }
const threeMembers = 'n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002,n3=http://127.0.0.1:4003'

/** Every flag of `fastify-raft node` that goes together with the others. */
function allNodeFlags (listen: string): string[] {
  return [
    'node',
    '--id',
    'n1',
    '--listen',
    listen,
    '--members',
    threeMembers,
    '--data-dir',
    'd',
    '--min-free-bytes',
    '1000000',
    '--cluster-id',
    'c',
    '--secret-file',
    's',
    '--tokens-file',
    't',
    '--tls-ca-file',
    'ca.pem',
    '--tls-cert-file',
    'cert.pem',
    '--tls-key-file',
    'key.pem',
    '--tls-names',
    'uri',
    '--tls-gateways',
    'gw, gw2',
    '--insecure',
    '--leave-on-close',
    '--heartbeat-ms',
    '50',
    '--election-timeout-min-ms',
    '300',
    '--election-timeout-max-ms',
    '600'
  ]
}

describe('the command line', () => {
  it('reads every flag of a node', () => {
    expect(parseCommandLine(allNodeFlags('127.0.0.1:4001'), {})).toEqual({
      kind: 'node',
      settings: {
        id: 'n1',
        listen: { host: '127.0.0.1', port: 4001 },
        members: [1, 2, 3].map((n) => ({ id: `n${n}`, url: `http://127.0.0.1:400${n}` })),
        join: null,
        url: null,
        dataDir: 'd',
        minFreeBytes: 1_000_000,
        clusterId: 'c',
        secretFile: 's',
        secret: null,
        tokensFile: 't',
        tls: { caFile: 'ca.pem', certFile: 'cert.pem', keyFile: 'key.pem' },
        tlsNames: 'uri',
        tlsGateways: ['gw', 'gw2'],
        insecure: true,
        adminHeaders: null,
        leaveOnClose: true,
        heartbeatMs: 50,
        electionTimeoutMinMs: 300,
        electionTimeoutMaxMs: 600
      }
    })
  })

  it('reads the same from the environment', () => {
    const flags = parseCommandLine(allNodeFlags('[::1]:4001'), {})
    expect(parseCommandLine(['node'], {
      CLUSTER_NODE_ID: 'n1',
      CLUSTER_LISTEN: '[::1]:4001',
      CLUSTER_MEMBERS: threeMembers,
      CLUSTER_DATA_DIR: 'd',
      CLUSTER_MIN_FREE_BYTES: '1000000',
      CLUSTER_ID: 'c',
      CLUSTER_SECRET_FILE: 's',
      CLUSTER_TOKENS_FILE: 't',
      CLUSTER_TLS_CA_FILE: 'ca.pem',
      CLUSTER_TLS_CERT_FILE: 'cert.pem',
      CLUSTER_TLS_KEY_FILE: 'key.pem',
      CLUSTER_TLS_NAMES: 'uri',
      CLUSTER_TLS_GATEWAYS: 'gw, gw2',
      CLUSTER_INSECURE: 'true',
      CLUSTER_LEAVE_ON_CLOSE: 'true',
      CLUSTER_HEARTBEAT_MS: '50',
      CLUSTER_ELECTION_TIMEOUT_MIN_MS: '300',
      CLUSTER_ELECTION_TIMEOUT_MAX_MS: '600'
    })).toEqual(flags)
  })

  it('lets a flag win over its variable', () => {
    const command = parseCommandLine(['node', '--id', 'flag'], { CLUSTER_NODE_ID: 'variable' })
    expect(command).toMatchObject({ kind: 'node', settings: { id: 'flag' } })
  })

  it('leaves options that are not given to the plugin', () => {
    expect(parseCommandLine(['node', '--id', 'n1'], { CLUSTER_DATA_DIR: '' })).toEqual({
      kind: 'node',
      settings: {
        id: 'n1',
        listen: { host: '127.0.0.1', port: 4001 },
        members: null,
        join: null,
        url: null,
        dataDir: null,
        minFreeBytes: null,
        clusterId: null,
        secretFile: null,
        secret: null,
        tokensFile: null,
        tls: null,
        tlsNames: null,
        tlsGateways: null,
        insecure: false,
        adminHeaders: null,
        leaveOnClose: false,
        heartbeatMs: null,
        electionTimeoutMinMs: null,
        electionTimeoutMaxMs: null
      }
    })
  })

  it('ignores an empty retired variable, and shows the help in spite of one', () => {
    expect(parseCommandLine(['node', '--id', 'n1'], { CLUSTER_NAME: '' })).toMatchObject({ kind: 'node' })
    expect(parseCommandLine(['node', '--help'], { CLUSTER_NAME: 'c' })).toMatchObject({ kind: 'print' })
  })

  it('reads what to do with a snapshot', () => {
    expect(parseCommandLine(['snapshot', 'inspect', 'f', '--json'], {})).toEqual({
      kind: 'snapshot',
      settings: { action: 'inspect', file: 'f', json: true }
    })
    expect(parseCommandLine(['snapshot', 'save', 'f', '--data-dir', 'd'], {})).toEqual({
      kind: 'snapshot',
      settings: { action: 'save', file: 'f', dataDir: 'd', node: null, credentials, tls: null }
    })
    expect(
      parseCommandLine(['snapshot', 'save', 'f', '--data-dir', 'd', '--node', 'http://127.0.0.1:4001/'], {})
    ).toMatchObject({ settings: { node: 'http://127.0.0.1:4001' } })
    expect(
      parseCommandLine(['snapshot', 'restore', 'f', '--data-dir', 'd', '--id', 'n2', '--members', threeMembers], {})
    ).toMatchObject({
      settings: {
        action: 'restore',
        dataDir: 'd',
        id: 'n2',
        members: { length: 3 },
        clusterId: 'default',
        skipEntries: 1_000_000_000
      }
    })
  })

  it('reads a log to look at', () => {
    expect(parseCommandLine(['wal', 'inspect', './data'], {})).toEqual({
      kind: 'wal',
      settings: { action: 'inspect', directory: './data', json: false }
    })
    expect(parseCommandLine(['wal', 'verify', './data', '--json'], {})).toEqual({
      kind: 'wal',
      settings: { action: 'verify', directory: './data', json: true }
    })
    expect(parseCommandLine(['wal', '--help'], {})).toMatchObject({ kind: 'print' })
  })

  it('reads a gateway from flags and from the environment', () => {
    const gateway = {
      kind: 'gateway',
      settings: {
        nodes: ['http://a:1', 'http://b:2'],
        listen: { host: '0.0.0.0', port: 8080 },
        adminHeaders: null,
        trustProxy: [],
        secretFile: null,
        secret: null,
        tls: null,
        serverTls: null,
        reads: 'leader',
        adminPort: null,
        adminOnTraffic: false,
        drainMs: 0,
        dnsServers: []
      }
    }
    expect(parseCommandLine(['gateway', '--nodes', 'http://a:1, http://b:2', '--listen', '0.0.0.0:8080'], {})).toEqual(
      gateway
    )
    expect(
      parseCommandLine(['gateway'], { GATEWAY_NODES: 'http://a:1,http://b:2', GATEWAY_LISTEN: '0.0.0.0:8080' })
    ).toEqual(gateway)
    const resolved = {
      ...gateway,
      settings: {
        ...gateway.settings,
        nodes: ['dns+http://app.internal:4001', 'dnssrv+https://_app._tcp.internal'],
        serverTls: { certFile: 'c', keyFile: 'k' },
        reads: 'nearest',
        adminPort: 9080,
        adminOnTraffic: true,
        drainMs: 5_000,
        dnsServers: ['10.0.0.2', '[::1]:53']
      }
    }
    const names = 'dns+http://app.internal:4001,dnssrv+https://_app._tcp.internal'
    expect(parseCommandLine([
      'gateway', '--nodes', names, '--listen', '0.0.0.0:8080', '--server-tls-cert-file', 'c', '--server-tls-key-file', 'k',
      '--reads', 'nearest', '--admin-port', '9080', '--admin-on-traffic', '--drain-ms', '5000',
      '--dns-servers', '10.0.0.2, [::1]:53'
    ], {})).toEqual(resolved)
    expect(parseCommandLine(['gateway'], {
      GATEWAY_NODES: names,
      GATEWAY_LISTEN: '0.0.0.0:8080',
      GATEWAY_TLS_CERT_FILE: 'c',
      GATEWAY_TLS_KEY_FILE: 'k',
      GATEWAY_READS: 'nearest',
      GATEWAY_ADMIN_PORT: '9080',
      GATEWAY_ADMIN_ON_TRAFFIC: 'true',
      GATEWAY_DRAIN_MS: '5000',
      GATEWAY_DNS_SERVERS: '10.0.0.2,[::1]:53'
    })).toEqual(resolved)
    const trusting = { ...gateway, settings: { ...gateway.settings, trustProxy: ['10.0.0.0/8', 'loopback'] } }
    const line = ['gateway', '--nodes', 'http://a:1,http://b:2', '--listen', '0.0.0.0:8080']
    expect(parseCommandLine([...line, '--trust-proxy', '10.0.0.0/8, loopback'], {})).toEqual(trusting)
    expect(parseCommandLine(line, { GATEWAY_TRUST_PROXY: '10.0.0.0/8,loopback' })).toEqual(trusting)
  })

  it('reads a header field from a flag and from the environment, and does not show one that is malformed', () => {
    const settings = { adminHeaders: { authorization: 'Bearer a:b c' } }
    const field = ' authorization:  Bearer a:b c '
    for (const [name, variable] of [['gateway', 'GATEWAY_ADMIN_HEADER'], ['node', 'CLUSTER_ADMIN_HEADER']] as const) {
      const argv = name === 'node' ? ['node', '--id', 'n1'] : ['gateway', '--nodes', 'http://a:1']
      expect(parseCommandLine([...argv, '--admin-header', field], {})).toMatchObject({ settings })
      expect(parseCommandLine(argv, { [variable]: field })).toMatchObject({ settings })
      for (const malformed of ['secret', 'secret:', ': secret', 'a secret: x']) {
        expect(() => parseCommandLine(argv, { [variable]: malformed })).toThrow(
          `--admin-header (or ${variable}) must look like "name: value"`
        )
      }
    }
  })

  it('reads a node that joins from flags and from the environment', () => {
    const node = {
      kind: 'node',
      settings: {
        id: 'n4',
        members: null,
        join: ['http://127.0.0.1:4001', 'http://127.0.0.1:4002'],
        url: 'http://127.0.0.1:4004'
      }
    }
    expect(
      parseCommandLine(
        [
          'node',
          '--id',
          'n4',
          '--join',
          'http://127.0.0.1:4001, http://127.0.0.1:4002',
          '--url',
          'http://127.0.0.1:4004'
        ],
        {}
      )
    ).toMatchObject(node)
    expect(
      parseCommandLine(['node'], {
        CLUSTER_NODE_ID: 'n4',
        CLUSTER_JOIN: 'http://127.0.0.1:4001,http://127.0.0.1:4002',
        CLUSTER_URL: 'http://127.0.0.1:4004'
      })
    ).toMatchObject(node)
  })

  it('reads what to do with members and with leadership', () => {
    const at = ['--node', 'http://127.0.0.1:4001/']
    const node = 'http://127.0.0.1:4001'
    const members = (...args: string[]) => parseCommandLine(['members', ...args], {})
    for (const args of [at, ['list', ...at]]) {
      expect(members(...args)).toEqual({ kind: 'members', settings: { node, credentials, tls: null, action: { kind: 'list' } } })
    }
    expect(parseCommandLine(['members'], { CLUSTER_NODE: node })).toEqual(members(...at))
    for (const kind of ['add', 'set-url']) {
      expect(members(kind, ...at, '--id', 'n4', '--url', 'http://127.0.0.1:4004')).toEqual({
        kind: 'members',
        settings: { node, credentials, tls: null, action: { kind, id: 'n4', url: 'http://127.0.0.1:4004', ifVersion: null } }
      })
    }
    for (const kind of ['promote', 'demote', 'remove']) {
      expect(members(kind, ...at, '--id', 'n4', '--if-version', '7')).toEqual({
        kind: 'members',
        settings: { node, credentials, tls: null, action: { kind, id: 'n4', ifVersion: 7 } }
      })
    }
    const leader = (...args: string[]) => parseCommandLine(['leader', ...args, ...at], {})
    for (const args of [[], ['show']]) {
      expect(leader(...args)).toEqual({ kind: 'leader', settings: { node, credentials, tls: null, action: { kind: 'show' } } })
    }
    expect(leader('transfer')).toEqual({ kind: 'leader', settings: { node, credentials, tls: null, action: { kind: 'transfer', to: null } } })
    expect(leader('transfer', '--to', 'n2')).toEqual({
      kind: 'leader',
      settings: { node, credentials, tls: null, action: { kind: 'transfer', to: 'n2' } }
    })
    expect(parseCommandLine(['members', ...at, '--tls-ca-file', 'ca.pem'], {})).toMatchObject({
      settings: { tls: { caFile: 'ca.pem' } }
    })
    expect(leader('step-down')).toEqual({ kind: 'leader', settings: { node, credentials, tls: null, action: { kind: 'step-down' } } })
  })

  it('reads what to show to a node from a file or the environment, never from the command line itself', () => {
    const credentialsOf = (argv: readonly string[], environment: Record<string, string> = {}): object => {
      const command = parseCommandLine(['leader', '--node', 'http://127.0.0.1:4001', ...argv], environment)
      return command.kind === 'leader' ? command.settings.credentials : {}
    }
    expect(credentialsOf(['--token-file', 'f'])).toEqual({ ...credentials, tokenFile: 'f' })
    expect(credentialsOf([], { CLUSTER_TOKEN: 'secret' })).toEqual({ ...credentials, token: 'secret' })
    expect(credentialsOf([], { CLUSTER_TOKEN: '', CLUSTER_TOKEN_FILE: 'f' })).toEqual({ ...credentials, tokenFile: 'f' })
    expect(credentialsOf(['--token-file', 'f'], { CLUSTER_TOKEN: 'secret' })).toEqual({ ...credentials, tokenFile: 'f' })
    expect(credentialsOf(['--admin-header', 'x-key: 1'])).toEqual({ ...credentials, adminHeaders: { 'x-key': '1' } })
    expect(() => credentialsOf(['--token', 'secret'])).toThrow("Unknown option '--token'")
    const twice = ['--admin-header', 'Authorization: Basic secret']
    expect(() => credentialsOf(twice, { CLUSTER_TOKEN: 'secret' })).toThrow(/^--admin-header .* the token stands there$/)
    expect(credentialsOf(twice)).toMatchObject({ adminHeaders: { Authorization: 'Basic secret' } })
    expect(parseCommandLine(['token'], {})).toEqual({ kind: 'token', settings: { file: null } })
    expect(parseCommandLine(['token', '--file', 'f'], {})).toEqual({ kind: 'token', settings: { file: 'f' } })
  })

  it('reads the ports of a local cluster', () => {
    expect(parseCommandLine(['local'], {})).toEqual({
      kind: 'local',
      settings: { dataDir: null, ports: [4001, 4002, 4003, 8080] }
    })
    expect(parseCommandLine(['local', '--first-port', '5001', '--gateway-port', '5000', '--data-dir', 'd'], {}))
      .toEqual({ kind: 'local', settings: { dataDir: 'd', ports: [5001, 5002, 5003, 5000] } })
  })

  it.each([
    [[]],
    [['--help']],
    [['-h']],
    [['help']],
    [['node', '--help']],
    [['gateway', '-h']],
    [['members', '--help']],
    [['members', 'add', '-h']],
    [['leader', '--help']],
    [['local', '--help']],
    [['demo', '--help']]
  ])('prints help for %j', (argv) => {
    const command = parseCommandLine(argv, {})
    expect(command.kind).toBe('print')
    if (command.kind === 'print') expect(command.text).toContain('Usage: fastify-raft')
  })

  it('names every flag and variable of a node in its help', () => {
    const help = parseCommandLine(['node', '--help'], {})
    for (const word of [
      '--id',
      '--listen',
      '--members',
      '--join',
      '--url',
      'CLUSTER_JOIN',
      'CLUSTER_URL',
      '--data-dir',
      '--min-free-bytes',
      'CLUSTER_MIN_FREE_BYTES',
      '--cluster-id',
      '--insecure',
      '--heartbeat-ms',
      '--election-timeout-min-ms',
      '--election-timeout-max-ms',
      'CLUSTER_NODE_ID',
      'CLUSTER_LISTEN',
      'CLUSTER_MEMBERS',
      'CLUSTER_DATA_DIR',
      'CLUSTER_ID',
      'CLUSTER_INSECURE',
      'CLUSTER_HEARTBEAT_MS',
      'CLUSTER_ELECTION_TIMEOUT_MIN_MS',
      'CLUSTER_ELECTION_TIMEOUT_MAX_MS'
    ]) {
      expect(help.kind === 'print' && help.text).toContain(word)
    }
  })

  it.each<[readonly string[], Record<string, string>, string]>([
    [['frobnicate'], {}, 'Unknown command "frobnicate"'],
    [['--frobnicate'], {}, 'Unknown option --frobnicate'],
    [['node', '--frobnicate'], {}, "Unknown option '--frobnicate'"],
    [['node', '--id', 'n1', 'stray'], {}, "Unexpected argument 'stray'"],
    [['node'], {}, '--id (or CLUSTER_NODE_ID) is required'],
    [['node'], { CLUSTER_ID: 'n1' }, '--id (or CLUSTER_NODE_ID) is required: CLUSTER_ID names the cluster, not the node'],
    [
      ['node', '--id', 'n1'],
      { CLUSTER_NAME: 'c' },
      'CLUSTER_NAME is no longer read: put the name of the cluster into CLUSTER_ID, and the id of the node, which ' +
        'CLUSTER_ID used to hold, into CLUSTER_NODE_ID'
    ],
    [['node'], { CLUSTER_ID: 'n1', CLUSTER_NAME: 'c' }, 'CLUSTER_NAME is no longer read'],
    [['node', '--id', ''], {}, '--id (or CLUSTER_NODE_ID) must not be empty'],
    [['node', '--id'], {}, "Option '--id <value>' argument missing"],
    [
      ['node', '--id', 'n1', '--listen', '4001'],
      {},
      '--listen (or CLUSTER_LISTEN) must look like 127.0.0.1:4001 or [::1]:4001, not "4001"'
    ],
    [
      ['node', '--id', 'n1', '--listen', 'h:70000'],
      {},
      '--listen (or CLUSTER_LISTEN) must look like 127.0.0.1:4001 or [::1]:4001, not "h:70000"'
    ],
    [
      ['node', '--id', 'n1', '--members', 'n1'],
      {},
      '--members (or CLUSTER_MEMBERS) must look like n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002, but has "n1"'
    ],
    [
      ['node', '--id', 'n1', '--members', 'n1=http://a,'],
      {},
      '--members (or CLUSTER_MEMBERS) must look like n1=http://127.0.0.1:4001,n2=http://127.0.0.1:4002, but has ""'
    ],
    [
      ['node', '--id', 'n1', '--min-free-bytes', '64MB'],
      {},
      '--min-free-bytes (or CLUSTER_MIN_FREE_BYTES) must be a whole number of bytes, not "64MB"'
    ],
    [['snapshot'], {}, 'Say what to do: inspect, save or restore'],
    [['snapshot', 'take', 'f'], {}, 'Unknown action "take": inspect, save or restore'],
    [['snapshot', 'save'], {}, 'save needs a file'],
    [['snapshot', 'save', 'f'], {}, '--data-dir is required'],
    [['snapshot', 'inspect', 'f', '--id', 'n1'], {}, '--id does not go together with inspect'],
    [
      ['snapshot', 'restore', 'f', '--data-dir', 'd', '--id', 'n9', '--members', threeMembers],
      {},
      '--id "n9" is not one of the members (n1, n2, n3)'
    ],
    [
      ['snapshot', 'restore', 'f', '--data-dir', 'd', '--id', 'n1', '--members', threeMembers, '--skip-entries', '0'],
      {},
      '--skip-entries must be a whole number of entries above 0, not "0"'
    ],
    [['wal'], {}, 'Say what to do: inspect or verify'],
    [['wal', 'repair', 'd'], {}, 'Unknown action "repair": inspect or verify'],
    [['wal', 'verify'], {}, 'verify needs a data directory'],
    [['wal', 'verify', '--json'], {}, 'verify needs a data directory'],
    [
      ['node', '--id', 'n1', '--heartbeat-ms', '1.5'],
      {},
      '--heartbeat-ms (or CLUSTER_HEARTBEAT_MS) must be a whole number of milliseconds, not "1.5"'
    ],
    [
      ['node', '--id', 'n1'],
      { CLUSTER_HEARTBEAT_MS: 'soon' },
      '--heartbeat-ms (or CLUSTER_HEARTBEAT_MS) must be a whole number of milliseconds, not "soon"'
    ],
    [
      ['node', '--id', 'n1'],
      { CLUSTER_INSECURE: 'perhaps' },
      '--insecure (or CLUSTER_INSECURE) must be true or false'
    ],
    [['gateway'], {}, '--nodes (or GATEWAY_NODES) is required'],
    [
      ['gateway', '--nodes', 'a'],
      {},
      '--nodes (or GATEWAY_NODES) must be a list of URLs such as http://127.0.0.1:4001, not "a"'
    ],
    [
      ['gateway', '--nodes', 'http://a:1', '--reads', 'all'],
      {},
      '--reads (or GATEWAY_READS) must be leader, any or nearest, not "all"'
    ],
    [['members'], {}, '--node (or CLUSTER_NODE) is required'],
    [
      ['members', 'list', '--node', '127.0.0.1'],
      {},
      '--node (or CLUSTER_NODE) must be a URL such as http://127.0.0.1:4001, not "127.0.0.1"'
    ],
    [
      ['members', 'ad', '--node', 'http://a'],
      {},
      'Unknown action "ad": list, add, promote, demote, remove or set-url'
    ],
    [['members', 'add', '--node', 'http://a', '--id', 'n4'], {}, '--url is required'],
    [['members', 'set-url', '--node', 'http://a', '--id', 'n4'], {}, '--url is required'],
    [
      ['members', 'set-url', '--node', 'http://a', '--id', 'n4', '--url', '10.0.0.4:80'],
      {},
      '--url must be a URL such as http://127.0.0.1:4001, not "10.0.0.4:80"'
    ],
    [['members', 'promote', '--node', 'http://a'], {}, '--id is required'],
    [
      ['members', 'promote', '--node', 'http://a', '--id', 'n4', '--url', 'http://b'],
      {},
      '--url does not go together with promote'
    ],
    [
      ['members', 'remove', '--node', 'http://a', '--id', 'n4', '--if-version', 'x'],
      {},
      '--if-version must be the version of a membership, not "x"'
    ],
    [['leader', 'transfer', 'n2', '--node', 'http://a'], {}, "Unexpected argument 'n2'"],
    [['leader', 'step-down', '--node', 'http://a', '--to', 'n2'], {}, '--to does not go together with step-down'],
    [['leader', 'resign', '--node', 'http://a'], {}, 'Unknown action "resign": show, transfer or step-down'],
    [['local', '--first-port', '65535'], {}, '--first-port must leave room for 3 ports'],
    [['local', '--first-port', 'x'], {}, '--first-port must be a port from 1 to 65535, not "x"'],
    [['local', '--gateway-port', '4002'], {}, "--gateway-port must not be one of the nodes' ports 4001, 4002, 4003"]
  ])('refuses %j with %j', (argv, environment, message) => {
    expect(() => parseCommandLine(argv, environment)).toThrow(UsageError)
    expect(() => parseCommandLine(argv, environment)).toThrow(message)
  })
})
