/**
 * What must and must not compile for users of the plugin. Checked by `tsc` alone; nothing here runs.
 */
import type { FastifyPluginAsync } from 'fastify'
import Fastify from 'fastify'
import type {
  Cluster,
  ClusterMap,
  ClusterOptions,
  ClusterStatus,
  LeaderInfo,
  LeadershipChange,
  LeadershipGrant,
  LeaderWorkResult,
  MapEntry,
  MapPage,
  Membership
} from '../../src/plugin/index.ts'
import plugin from '../../src/plugin/index.ts'
import { cluster } from '../../src/plugin/index.ts'

const app = Fastify()

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
function expectType<Expected> () {
  return <Actual>(_value: Actual, _same: Equal<Expected, Actual>): void => {}
}

// Registration: no options, options, and faults.
await app.register(cluster)
await app.register(plugin, {})
await app.register(cluster, {
  id: 'n1',
  members: [{ id: 'n1', url: 'http://127.0.0.1:1' }],
  dataDir: './data',
  forward: { waitForLeaderMs: 1 }
})
expectType<FastifyPluginAsync<ClusterOptions>>()(cluster, true)
// On every kind of server.
const secure = Fastify({ https: { cert: '', key: '' } })
await secure.register(cluster, { tls: { ca: '' } })
secure.post('/', { forward: true }, async () => secure.cluster.nodeId)
const http2 = Fastify({ http2: true, https: { allowHTTP1: true } })
await http2.register(cluster)
http2.post('/', { forward: { timeoutMs: 1 } }, async () => http2.cluster.nodeId)
await app.register(cluster, { id: 'n4', url: 'http://127.0.0.1:4', join: ['http://127.0.0.1:1'] })
// @ts-expect-error there is no such option
await app.register(cluster, { heartbeat: 100 })
// @ts-expect-error durations are numbers of milliseconds
await app.register(cluster, { heartbeatMs: '100' })
await app.register(cluster, { secret: 'x' })
await app.register(cluster, { secret: ['x', 'y'] })
await app.register(cluster, { secretFile: './secret' })
// @ts-expect-error an option that does nothing does not exist
await app.register(cluster, { password: 'x' })

// Marks, on every way to declare a route.
app.post('/a', { forward: true }, async () => 'a')
app.post('/signal', { forward: true }, async (_request, reply) => { expectType<AbortSignal>()(reply.clientSignal, true) })
app.get('/redirected', { leaderOnly: true, redirect: 307 }, async () => 'a')
app.get('/read', { read: 'linearizable' }, async () => 'a')
app.post('/lost', { forward: true, onLost: 'mark' }, async () => 'a')
app.clusterRoutes({ forward: true, read: 'local', onLost: false })
// @ts-expect-error only redirects that keep method and body
app.get('/found', { leaderOnly: true, redirect: 302 }, async () => 'a')
// @ts-expect-error there is no such read
app.get('/stale', { read: 'stale' }, async () => 'a')
// @ts-expect-error marked or failed
app.post('/dropped', { forward: true, onLost: 'drop' }, async () => 'a')
app.get('/b', { leaderOnly: true, handler: async () => 'b' })
app.route({ method: 'PUT', url: '/c', forward: false, handler: async () => 'c' })
app.post<{ Body: { n: number } }>(
  '/d',
  { forward: true, schema: { body: { type: 'object' } } },
  async (request) => request.body.n
)
app.put('/c1', { forward: { timeoutMs: 60_000 }, repeatable: true }, async () => 'c1')
app.clusterRoutes({ forward: { timeoutMs: 60_000 } })
// @ts-expect-error there is no such option of a route
app.put('/c4', { forward: { waitForLeaderMs: 1 } }, async () => 'c4')
app.put('/c2', { forward: true, repeatable: true }, async () => 'c2')
app.put('/k1', { forward: true, idempotent: true }, async () => 'k1')
app.put('/k2', {
  leaderOnly: true,
  idempotent: { caller: ({ ip }) => ip, ttlMs: 5_000, headers: ['etag'], onUnknown: 'retry' }
}, async () => 'k2')
// @ts-expect-error there is no such way
app.put('/k3', { forward: true, idempotent: { onUnknown: 'again' } }, async () => 'k3')
// @ts-expect-error a caller has a name
app.put('/k4', { forward: true, idempotent: { caller: () => 7 } }, async () => 'k4')
// @ts-expect-error a mark is true or false
app.put('/c3', { forward: true, repeatable: 2 }, async () => 'c3')
// @ts-expect-error a mark is true or false
app.post('/e', { forward: 'yes' }, async () => 'e')
// @ts-expect-error a mark is true or false
app.route({ method: 'PUT', url: '/f', leaderOnly: 1, handler: async () => 'f' })
app.clusterRoutes({ forward: true })
app.clusterRoutes({ forward: true, repeatable: true })
app.clusterRoutes({ forward: true, idempotent: { required: true } })
// @ts-expect-error there is no such mark
app.clusterRoutes({ follower: true })

// The coordinator.
expectType<Cluster>()(app.cluster, true)
expectType<LeaderInfo | null>()(app.cluster.leader, true)
// @ts-expect-error nobody sets it
app.cluster.isLeader = true
expectType<LeadershipGrant>()(await app.cluster.waitForLeadership({ timeoutMs: 1, signal: AbortSignal.abort() }), true)
expectType<LeaderInfo>()(await app.cluster.waitForLeader(1), true)
const result = await app.cluster.executeIfLeader(async (signal, grant) => signal.aborted ? grant.token : Date.now())
expectType<LeaderWorkResult<string | number>>()(result, true)
switch (result.status) {
  case 'completed':
    expectType<string | number>()(result.value, true)
    break
  case 'not-leader':
    // @ts-expect-error it did not run, so there is no token
    expectType<string>()(result.token, true)
    break
  case 'lost':
    // @ts-expect-error work that outlived its leadership has no value
    expectType<string>()(result.value, true)
}
expectType<LeaderInfo>()(
  await app.cluster.transferLeadership('n2', { timeoutMs: 1, signal: AbortSignal.abort() }),
  true
)
await app.cluster.transferLeadership(null)
await app.cluster.transferLeadership()
await app.cluster.stepDown()
expectType<Membership>()(app.cluster.membership, true)
expectType<'voter' | 'learner' | 'leaving' | undefined>()(app.cluster.membership.members[0]?.role, true)
// @ts-expect-error nobody sets it
app.cluster.membership.members[0] = { id: 'n1', url: '', role: 'voter' }
expectType<Membership>()(
  await app.cluster.addMember({ id: 'n4', url: 'http://127.0.0.1:4' }, { ifVersion: 1, timeoutMs: 1 }),
  true
)
// @ts-expect-error everybody starts as a learner
await app.cluster.addMember({ id: 'n4', url: 'http://127.0.0.1:4', role: 'voter' })
await app.cluster.promoteMember('n4', { ifVersion: 2 })
await app.cluster.demoteMember('n4')
await app.cluster.removeMember('n4', { signal: AbortSignal.abort() })
app.cluster.on('membershipChanged', (membership) => { expectType<Membership>()(membership, true) })
app.cluster.on('leadershipChanged', (change) => { expectType<LeadershipChange>()(change, true) })
app.cluster.once('leaderChanged', (leader) => { expectType<LeaderInfo | null>()(leader, true) })
// @ts-expect-error there is no such event
app.cluster.on('leader', () => {})
for await (const change of app.cluster.leadership()) expectType<LeadershipChange>()(change, true)
expectType<ClusterMap<{ readonly total: number }>>()(app.cluster.map<{ readonly total: number }>('orders'), true)
expectType<unknown>()((await app.cluster.map('x').get('k'))?.value, true)
expectType<ClusterStatus>()(app.cluster.status, true)
for await (const entry of app.cluster.map<number>('x').entries({ prefix: 'a', after: 'ab', read: 'lease' })) {
  expectType<MapEntry<number>>()(entry, true)
}
expectType<MapPage<number>>()(await app.cluster.map<number>('x').list({ after: 'a', limit: 2, read: 'local' }), true)
// @ts-expect-error an iteration has no limit: it may be left at any time
app.cluster.map('x').entries({ limit: 2 })

// State machines of the application.
const counter = app.cluster.machine('counter', {
  version: 1,
  initial: () => ({ total: 0 }),
  apply: (state, command: { readonly add: number }, { index, term, timeMs, version }) =>
    ({ state: { total: state.total + command.add + 0 * (index + term + timeMs + version) }, answer: `${state.total}` })
})
expectType<string>()(await counter.propose({ add: 1 }, { idempotencyKey: 'i', fence: '1', timeoutMs: 1 }), true)
expectType<number>()(await counter.read((state) => state.total, { read: 'local' }), true)
await counter.read((state) => state.total, { read: 'lease', timeoutMs: 1 })
// @ts-expect-error the machine takes other commands
await counter.propose({ subtract: 1 })
// @ts-expect-error a version is required
app.cluster.machine('unversioned', { initial: () => 0, apply: (state: number) => ({ state, answer: null }) })
// @ts-expect-error apply gives the next state, too
app.cluster.machine('stateless', { version: 1, initial: () => 0, apply: () => ({ answer: null }) })
