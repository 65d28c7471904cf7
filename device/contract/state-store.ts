/** Some entries of the map `name`; the value as JSON, null for an entry that is gone. */
export interface StateChange {
  readonly name: string;
  readonly entries: readonly (readonly [key: string, json: string | null])[];
  /** Nothing else is in the map. */
  readonly isAll: boolean;
}

/** Where small state of a room outlives the process: maps of JSON values, by name. */
export interface StateStore {
  /** @throws CodedError INDEX_UNAVAILABLE and others */
  read(name: string): Promise<readonly (readonly [key: string, json: string])[]>;
  /** All of it is durable when this resolves, or nothing. @throws CodedError as `read` */
  write(change: StateChange): Promise<void>;
}
