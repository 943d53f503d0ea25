import type { RouteOptions } from 'fastify'
import type { SimRandom } from '../../sim/random.ts'
import { AppNode } from '../app-node.ts'
import type { HttpAnswer, HttpInput } from '../http-client.ts'
import { anyField, anyFraming, codeOf } from '../http-client.ts'
import type { Schema } from '../schema-values.ts'
import { schemaJson, schemaQuery, schemaText, wellFormed } from '../schema-values.ts'
import type { Fuzzed, Outcome, Target } from '../target.ts'
import { accepted, BrokenRule, refused } from '../target.ts'
import { turnsUntil } from '../turns.ts'
import { editText, noise, strangeText, textEdit, wildJson } from '../values.ts'

/** A route of the version 1 interface, by its schema. */
interface AdminRoute {
  readonly method: string
  readonly url: string
  readonly body: Schema | null
  readonly query: Schema
  readonly params: Schema
}

interface RouteSchema {
  readonly body?: Schema
  readonly querystring?: Schema
  readonly params?: Schema
}

const prefix = '/_cluster/v1'
/** A node keeps answers for idempotency keys, and entries for its log: after so many inputs it is a new one. */
const maxInputsOfNode = 4_000
/** An answer without an end: nothing could be sent behind it. */
const endless = /kv-changes/
/** These end a leadership: the node needs most of a second to lead again, so they come seldom. */
const rare = /step-down|transfer/

function adminRoutes (routes: readonly RouteOptions[]): readonly AdminRoute[] {
  return routes.filter(({ url }) => url.startsWith(prefix) && !endless.test(url)).flatMap(({ method, url, schema }) => {
    const { body, querystring = {}, params = {} } = (schema ?? {}) as RouteSchema
    return [method].flat().map((one) => ({ method: one, url, body: body ?? null, query: querystring, params }))
  })
}

function pathOf (random: SimRandom, { url, params, query }: AdminRoute, wildness: number): string {
  const value = (name: string): string => {
    const text = random.chance(wildness)
      ? strangeText(random)
      : name === '*' ? random.pick(['a', 'b', 'c/d', 'ä']) : schemaText(random, params.properties?.[name] ?? {})
    return random.chance(wildness / 2) ? text.replace(/[^\x21-\x7e]/g, '') : encodeURIComponent(wellFormed(text))
  }
  const path = url.replace(/:(\w+)|\*/g, (_whole, name: string | undefined) => value(name ?? '*'))
  const queryText = schemaQuery(random, query, wildness)
  const whole = queryText === '' ? path : `${path}?${queryText}`
  return random.chance(wildness / 2) ? editText(whole, [textEdit(random)]) : whole
}

function bodyOf (random: SimRandom, schema: Schema | null, wildness: number): Uint8Array {
  if (schema === null) return random.chance(wildness) ? Buffer.from(wildJson(random)) : new Uint8Array(0)
  if (random.chance(wildness / 4)) return noise(random)
  const text = schemaJson(random, schema, wildness / 2)
  return Buffer.from(random.chance(wildness / 2) ? editText(text, [textEdit(random)]) : text, 'utf8')
}

function makeInput (random: SimRandom, routes: readonly AdminRoute[]): HttpInput {
  const common = routes.filter(({ url }) => !rare.test(url))
  const isRare = random.chance(0.02)
  const route = random.pick(isRare ? routes : common)
  // A valid one of those in three hundred.
  const wildness = rare.test(route.url) && !random.chance(0.1) ? 1 : random.pick([0, 0.1, 0.3, 0.8])
  const contentType = random.chance(0.95) || wildness === 0
    ? 'application/json'
    : random.pick(['text/plain', 'application/json; charset=utf-16', 'multipart/form-data', '', 'APPLICATION/JSON', 'x'])
  const body = bodyOf(random, route.body, wildness)
  const fields: Array<readonly [string, string]> = []
  if (body.byteLength > 0 || random.chance(0.1)) fields.push(['content-type', contentType])
  if (random.chance(0.1)) fields.push(['idempotency-key', random.pick(['k1', 'k2', '', 'x'.repeat(201)])])
  if (random.chance(wildness / 3)) fields.push(anyField(random))
  const isOddRequest = random.chance(wildness / 10)
  return {
    method: isOddRequest ? random.pick(['PATCH', 'OPTIONS', 'TRACE', 'QUERY', 'get', 'DELETE', 'POST']) : route.method,
    path: pathOf(random, route, wildness),
    fields,
    body: Uint8Array.from(body),
    framing: isOddRequest ? anyFraming(random) : 'length'
  }
}

class FuzzedAdmin implements Fuzzed<HttpInput> {
  #node = new AppNode()
  #routes: readonly AdminRoute[] = []
  #signature = ''
  #inputs = 0

  async open (): Promise<void> {
    await this.#node.open()
    this.#routes = adminRoutes(this.#node.routes)
    this.#signature = this.#node.signature()
    this.#inputs = 0
  }

  make (random: SimRandom): HttpInput {
    return makeInput(random, this.#routes)
  }

  async run (input: HttpInput): Promise<Outcome> {
    if (this.#inputs++ >= maxInputsOfNode) await this.#renew()
    const answer = await this.#node.client.send(input)
    const isAccepted = answer !== null && answer.status < 400
    const outcome = isAccepted ? accepted(`${input.method} ${answer.status}`) : refused(refusalCode(input, answer))
    const signature = this.#node.signature()
    if (signature !== this.#signature) {
      // Nobody knows what became of a request whose connection closed before its answer.
      const isUnknown = answer === null
      if ((!isAccepted && !isUnknown) || input.method === 'GET' || input.method === 'HEAD') {
        throw new BrokenRule('a refused input changes nothing', `${outcome.code}\n${this.#signature}\n${signature}`)
      }
      await this.#settle()
    }
    return outcome
  }

  async close (): Promise<void> {
    await this.#node.close()
  }

  /** Keeps what changed, unless it is who belongs or very much; waits for a leader. */
  async #settle (): Promise<void> {
    const { engine } = this.#node
    if (engine.membership().members.length > 1 || this.#node.signature().length > 20_000) return await this.#renew()
    await turnsUntil(() => engine.currentLeadership() !== null)
    this.#signature = this.#node.signature()
  }

  async #renew (): Promise<void> {
    await this.#node.close()
    this.#node = new AppNode()
    await this.open()
  }
}

/** Answers of the plugin name the leader. What names no route of the plugin is the application's to refuse. */
function refusalCode ({ path }: HttpInput, answer: HttpAnswer | null): string {
  if (answer === null) return codeOf(answer)
  const isOurs = path.startsWith(`${prefix}/`) && (answer.status >= 500 || answer.body.includes('"leader":'))
  return isOurs ? codeOf(answer) : `HTTP ${answer.status}`
}

/** Requests to all routes of the version 1 interface, from their schemas. */
export const adminRoutesTarget: Target<HttpInput> = {
  name: 'admin-routes',
  share: 17,
  open: async () => {
    const opened = new FuzzedAdmin()
    await opened.open()
    return opened
  }
}
