import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { until } from '../../support/until.ts'

/** A running server of its own. */
export interface PostgresServer {
  readonly connect: () => Promise<pg.Client>
  readonly stop: () => Promise<void>
}

/** Where Debian and Ubuntu have the programs of the newest PostgreSQL on this machine; null: there is none. */
export function postgresPrograms (): string | null {
  const base = '/usr/lib/postgresql'
  const versions = existsSync(base) ? readdirSync(base).sort((a, b) => Number(b) - Number(a)) : []
  return versions.map((version) => join(base, version, 'bin')).find((path) => existsSync(join(path, 'initdb'))) ?? null
}

/** Starts a server on a socket in a directory of its own, without a port. */
export async function startPostgres (programs: string): Promise<PostgresServer> {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-postgres-'))
  const log = join(directory, 'log')
  const logFile = openSync(log, 'a')
  const user = serverUser()
  if (user !== null) chownSync(directory, user.uid, user.gid)
  const options = { ...user, cwd: directory, stdio: ['ignore', logFile, logFile] as ['ignore', number, number] }
  const data = join(directory, 'data')
  execFileSync(join(programs, 'initdb'), ['--no-sync', '-A', 'trust', '-U', 'postgres', '-D', data], options)
  const settings = ['-c', 'listen_addresses=', '-c', 'fsync=off', '-c', `unix_socket_directories=${directory}`]
  const child = spawn(join(programs, 'postgres'), ['-D', data, ...settings], options)
  const clients: pg.Client[] = []
  const connect = async (): Promise<pg.Client> => {
    if (child.exitCode !== null) throw new Error(`PostgreSQL ended: ${readFileSync(log, 'utf8')}`)
    const client = new pg.Client({ host: directory, user: 'postgres', database: 'postgres' })
    await client.connect()
    clients.push(client)
    return client
  }
  const stop = async (): Promise<void> => {
    await Promise.all(clients.map(async (client) => { await client.end() }))
    if (child.exitCode === null) {
      child.kill('SIGINT')
      await once(child, 'exit')
    }
    await rm(directory, { recursive: true, force: true })
  }
  await until('PostgreSQL to accept connections', connect, 30_000).catch(async (error: unknown) => {
    await stop()
    throw error
  })
  return { connect, stop }
}

/** The server refuses to run as root: then it runs as the user that its package has made. */
function serverUser (): { readonly uid: number, readonly gid: number } | null {
  if (process.getuid?.() !== 0) return null
  const idOf = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: idOf('-u'), gid: idOf('-g') }
}
