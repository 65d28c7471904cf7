/** How servers of the device prove who they are. */
import type { ErrorReport } from './errors.ts';

/** PEM: a certificate with its chain, and the key that belongs to it. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

/** The identity of one server. It may change while the server runs. */
export interface TlsSource {
  readonly current: TlsIdentity;
  /** Why the files that should replace it are not used; null when there is nothing to complain about. */
  readonly trouble: ErrorReport | null;
  /** Called after each change, until the signal aborts. */
  onChange(listener: (identity: TlsIdentity) => void, signal: AbortSignal): void;
}
