/** Path prefix of everything that the cluster serves. */
export const defaultPrefix = '/_cluster'
