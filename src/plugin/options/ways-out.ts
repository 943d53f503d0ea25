/** What to do when members are to be on other machines, and nothing proves yet who they are. */
export const waysOut =
  'give all nodes the same secret ("fastify-raft secret" makes one), or each one a certificate (tls with caFile, ' +
  'certFile and keyFile), or set insecure: true if nobody else reaches this network'
