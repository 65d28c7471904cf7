/** The section `storage.remote` of config.yaml. */
import { z } from 'zod';
import { parseRecipient } from '../contract/recipient.ts';
import { REMOTE_KINDS } from '../contract/sync.ts';
import { help, httpUrl, whole, words } from './fields.ts';

const BUCKET = /^(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]$/;
const bucket = z
  .string()
  .regex(BUCKET, 'must be 3 to 63 of a-z, 0-9, - and ., and begin and end with a letter or digit');

const DAYS = 'mon|tue|wed|thu|fri|sat|sun';
const TIME = '(?:[01]\\d|2[0-3]):[0-5]\\d';
const window = z
  .string()
  .regex(
    new RegExp(`^(?:(?:${DAYS})(?:[-,](?:${DAYS}))* )?${TIME}-(?:${TIME}|24:00)$`),
    'must be like 22:00-06:00 or mon-fri 22:00-06:00',
  );

const recipient = z
  .string()
  .refine(
    (text) => parseRecipient(text) !== null,
    'must be the public key that `spyoncino keys new` prints, x25519:…:…; nothing else could ever be opened again',
  );

/** Of S3: at most 10 tags, keys of 128 and values of 256 characters. */
const tags = z
  .record(z.string().regex(/^[\w .:/=+@-]{1,128}$/), z.string().regex(/^[\w .:/=+@-]{0,256}$/))
  .refine((all) => Object.keys(all).length <= 10, 'must have at most 10 entries');

export const remote = z.strictObject({
  enabled: z.boolean().default(false).meta(help('Copy footage to a bucket of MinIO, S3 or the like')),
  endpoint: httpUrl
    .nullish()
    .meta(help('Address of the server, `https://host[:port]`; its keys go into secrets.yaml')),
  bucket: bucket.nullish().meta(help('Bucket there; it must exist')),
  region: words.nullish().meta(help('null: what the server says')),
  path_style: z
    .boolean()
    .default(true)
    .meta(help('Bucket in the path (MinIO) instead of in the host name; Amazon always gets the host name')),
  prefix: z
    .string()
    .regex(/^(?:[A-Za-z0-9_=-][A-Za-z0-9._=-]*\/)*$/, 'must be empty, or end with / and have no spaces')
    .max(256)
    .nullish()
    .meta(help('Leads all keys; null: `<node.id>/`. Several devices in one bucket need different ones')),
  ca_file: words
    .nullish()
    .meta(
      help('PEM file of who vouches for the server, relative to this file; null: whom the system trusts'),
    ),
  kinds: z
    .array(z.enum(REMOTE_KINDS))
    .min(1)
    .default([...REMOTE_KINDS])
    .meta(help('What is copied: stills and clips of events, segments of continuous footage')),
  max_concurrency: whole(1, 16).default(2).meta(help('Objects that are sent at the same time')),
  part_mb: whole(5, 64)
    .default(8)
    .meta(help('Larger files go in parts of this size, each kept when the connection breaks')),
  max_mbit_per_s: z
    .number()
    .positive()
    .max(100_000)
    .nullable()
    .default(null)
    .meta(help('Bandwidth for uploads; null: whatever there is')),
  windows: z
    .array(window)
    .max(16)
    .default([])
    .meta(help('When segments are sent, by local time; empty: always. Stills and clips do not wait')),
  metered: z
    .boolean()
    .default(false)
    .meta(help('The connection costs by the byte: segments wait, stills and clips are sent')),
  lifecycle_tags: tags.default({}).meta(help('Tags of each object, for lifecycle rules of the bucket')),
  server_side_encryption: z
    .enum(['none', 'AES256', 'aws:kms'])
    .default('none')
    .meta(help('What the server is asked to do')),
  kms_key_id: words.nullish().meta(help('Key for aws:kms; null: the default one of the bucket')),
  encrypt_to: recipient
    .nullish()
    .meta(
      help(
        'Public key from `spyoncino keys new`: everything is encrypted before it leaves, and only its private half, which is not here, can open it; null: sent as it is',
      ),
    ),
  object_lock: z
    .strictObject({
      mode: z.enum(['GOVERNANCE', 'COMPLIANCE']).meta(help('Who may lift it: some, or nobody')),
      days: whole(1, 36_500).meta(help('Nobody deletes or replaces an object for this long')),
    })
    .nullish()
    .meta(help('Needs a bucket that was made with object lock')),
  backfill_days: whole(0, 36_500)
    .default(7)
    .meta(
      help(
        'Footage of so many days that was there before is copied too, after everything new; 0: only what comes from now on',
      ),
    ),
  check_hours: whole(0, 24 * 365)
    .default(24)
    .meta(help('How often the bucket is compared with what should be in it; 0: only when asked')),
});

/** secrets.yaml. */
export const remoteSecrets = z.strictObject({
  access_key_id: words.nullish(),
  secret_access_key: words.nullish(),
  session_token: words.nullish(),
});
