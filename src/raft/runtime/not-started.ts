import { StoppedError } from '../errors.ts'

/** The error of a call that came before the node was started. */
export function notStartedError (options?: ErrorOptions): Error {
  return new StoppedError(
    'it has not been started. An application starts it in app.ready() and app.listen(): await one of them first',
    options
  )
}
