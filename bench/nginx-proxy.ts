import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pollUntil } from '../src/cli/local/polling.ts'
import { freePorts } from '../src/cli/local/ports.ts'

const startTimeoutMs = 5_000

/** An nginx that passes everything on to one server, over connections that it keeps; null when there is no nginx. */
export async function startNginx (
  directory: string,
  upstream: string
): Promise<{ readonly url: string, readonly pid: number, readonly stop: () => Promise<void> } | null> {
  const [port] = await freePorts(1)
  const configuration = join(directory, 'nginx.conf')
  await writeFile(configuration, configurationFor(directory, new URL(upstream).host, port ?? 0))
  const child = spawn('nginx', ['-p', directory, '-c', configuration, '-e', join(directory, 'nginx.log')], {
    stdio: 'ignore'
  })
  const exited = once(child, 'exit')
  const isMissing = await Promise.race([
    once(child, 'spawn').then(() => false),
    exited.then(() => false, (error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true
      throw error
    })
  ])
  if (isMissing) return null
  const url = `http://127.0.0.1:${port}`
  await pollUntil('nginx', startTimeoutMs, async () => await fetch(url).then(() => true, () => null))
  return {
    url,
    pid: child.pid ?? 0,
    stop: async () => {
      child.kill('SIGTERM')
      await exited
    }
  }
}

function configurationFor (directory: string, upstream: string, port: number): string {
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `  ${kind}_temp_path ${join(directory, kind)};`)
  return [
    'daemon off;',
    // One process, whose processor time can be told.
    'master_process off;',
    `pid ${join(directory, 'nginx.pid')};`,
    'events { worker_connections 1024; }',
    'http {',
    '  access_log off;',
    ...paths,
    '  keepalive_requests 1000000000;',
    `  upstream application { server ${upstream}; keepalive 64; keepalive_requests 1000000000; }`,
    '  server {',
    `    listen 127.0.0.1:${port};`,
    '    location / {',
    '      proxy_pass http://application;',
    '      proxy_http_version 1.1;',
    '      proxy_set_header Connection "";',
    '      proxy_set_header Host $http_host;',
    '      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
    '    }',
    '  }',
    '}'
  ].join('\n')
}
