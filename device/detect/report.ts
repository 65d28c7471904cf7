import { CodedError, type ErrorReport } from '../contract/errors.ts';

/** The error that was met in another thread or process; its message is complete already. */
export function fromReport({ code, message }: ErrorReport): CodedError {
  const error = new CodedError(code);
  error.message = message;
  return error;
}
