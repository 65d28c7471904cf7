/**
 * Every error a person or program may meet has a stable code, says what happened, and says what to do.
 * Codes are never reused for another meaning. `device/design/errors.md` is generated from this table.
 */
interface ErrorSpec {
  /** Whose turn it is: `operator` can mend it, `peer` is the other side's fault, `internal` is ours. */
  readonly fault: 'operator' | 'peer' | 'internal';
  readonly means: string;
  readonly advice: string;
}

export const ERRORS = {
  CAMERA_URL_INVALID: {
    fault: 'operator',
    means: 'The camera address is not one we can open.',
    advice: 'Write it as rtsp://host[:port]/path, without user name or password.',
  },
  CAMERA_HOST_UNKNOWN: {
    fault: 'operator',
    means: 'The camera’s host name does not resolve.',
    advice: 'Check the name for typing errors, or use the camera’s IP address.',
  },
  CAMERA_REFUSED: {
    fault: 'peer',
    means: 'Something answers at the camera’s address but refuses the connection.',
    advice: 'Check the port, and that RTSP is enabled in the camera’s settings.',
  },
  CAMERA_UNREACHABLE: {
    fault: 'peer',
    means: 'Nothing answers at the camera’s address.',
    advice: 'Check that the camera has power and is on the same network.',
  },
  CAMERA_UNAUTHORIZED: {
    fault: 'operator',
    means: 'The camera rejects the user name or password.',
    advice: 'Set `username` in config.yaml and `cameras.<id>.password` in secrets.yaml.',
  },
  CAMERA_STREAM_NOT_FOUND: {
    fault: 'operator',
    means: 'The camera answers, but has no stream at this path.',
    advice: 'Look up the stream path in the camera’s manual or settings page.',
  },
  CAMERA_CODEC_UNSUPPORTED: {
    fault: 'operator',
    means: 'The camera sends a video format that cannot be recorded without loss.',
    advice: 'Switch the camera’s stream to H.264 or H.265.',
  },
  CAMERA_DEVICE_MISSING: {
    fault: 'operator',
    means: 'No camera is attached at this device path.',
    advice: 'Plug the camera in, or choose a path listed by `spyoncino cameras`.',
  },
  CAMERA_DEVICE_BUSY: {
    fault: 'operator',
    means: 'Another program holds the camera.',
    advice: 'Stop the other program; `fuser <device>` names it.',
  },
  CAMERA_DEVICE_DENIED: {
    fault: 'operator',
    means: 'The agent may not open the camera device.',
    advice: 'Add the agent’s user to the group `video`.',
  },
  CAMERA_FILE_MISSING: {
    fault: 'operator',
    means: 'The video file does not exist or cannot be read.',
    advice: 'Check the path and its permissions.',
  },
  CAMERA_INPUT_INVALID: {
    fault: 'peer',
    means: 'What arrives is not video that FFmpeg understands.',
    advice: 'Open the same address with another player; if that works, report this with the log.',
  },
  CAMERA_STALLED: {
    fault: 'peer',
    means: 'The camera is connected but its pictures stopped.',
    advice: 'Nothing now: we reconnect. If it repeats, check network and power of the camera.',
  },
  CAMERA_ENDED: {
    fault: 'peer',
    means: 'The camera ended the stream.',
    advice: 'Nothing now: we reconnect.',
  },
  CAMERA_HOST_CRASHED: {
    fault: 'internal',
    means: 'The process that serves this camera died.',
    advice: 'Nothing now: it restarts. Please report it with the log.',
  },
  PRIVACY_MASK_IMPOSSIBLE: {
    fault: 'operator',
    means: 'The camera’s pictures cannot be masked, so none of them is recorded or looked at.',
    advice: 'Switch the camera’s stream to H.264, or remove `privacy_masks` from this camera.',
  },
  CAMERA_TOO_FAST: {
    fault: 'operator',
    means: 'The camera sends more pictures than this machine can decode and encode; some were given up.',
    advice: 'Lower the camera’s resolution or rate, or do without `privacy_masks`: then nothing is encoded.',
  },
  CAMERA_FAILED: {
    fault: 'internal',
    means: 'The camera failed in a way we have no better word for.',
    advice: 'Please report it with the log.',
  },
  CONFIG_INVALID: {
    fault: 'operator',
    means: 'The configuration is not valid.',
    advice: 'Mend the keys named in the message; nothing was changed.',
  },
  CONFIG_UNREADABLE: {
    fault: 'operator',
    means: 'A configuration file cannot be read.',
    advice: 'Check that it exists, its permissions, and its YAML syntax.',
  },
  CONFIG_KEY_RENAMED: {
    fault: 'operator',
    means: 'A key of the configuration has an older name; it works all the same.',
    advice: 'Write it under the name of now.',
  },
  CONFIG_KEY_RETIRED: {
    fault: 'operator',
    means: 'A key of the configuration belongs to the original system and has no effect here.',
    advice: 'Remove it, and read in the message what serves instead.',
  },
  CONFIG_OTHER_VERSION: {
    fault: 'operator',
    means: 'A setting that another version of the agent took is not known to this one.',
    advice:
      'Nothing while that is the plan (an update that fell back, say): it stays in config.yaml. Otherwise take it out.',
  },
  CONFIG_SECRETS_EXPOSED: {
    fault: 'operator',
    means: 'secrets.yaml can be read by other users of this machine.',
    advice: 'Run `chmod 600 secrets.yaml`.',
  },
  CONFIG_NOT_WRITABLE: {
    fault: 'operator',
    means: 'config.yaml cannot be written, so nothing was changed.',
    advice: 'Let the agent’s user write the configuration directory, or change the file yourself and reload.',
  },
  CONFIG_APPLY_FAILED: {
    fault: 'internal',
    means: 'A part of the agent failed with the new configuration, which was taken back.',
    advice: 'Read the message, mend the change, and try again.',
  },
  CONFIG_REVERTED: {
    fault: 'operator',
    means: 'The last change of the configuration did not work out and was taken back.',
    advice: 'Read the message, mend the change, and try again; `spyoncino config history` still has it.',
  },
  CONFIG_UNKNOWN: {
    fault: 'operator',
    means: 'There is no configuration with this fingerprint.',
    advice: '`spyoncino config history` lists those that are kept.',
  },
  CONFIG_BUSY: {
    fault: 'peer',
    means: 'Too many changes of the configuration wait for each other.',
    advice: 'Wait for the answers, then try again.',
  },
  MODEL_UNKNOWN: {
    fault: 'operator',
    means: 'There is no model of this id.',
    advice: '`spyoncino models list` shows what is installed, `spyoncino models add` installs more.',
  },
  MODEL_MANIFEST_INVALID: {
    fault: 'operator',
    means: 'model.yaml is missing or not valid.',
    advice: 'Mend the keys named in the message, or add the model again.',
  },
  MODEL_FILE_MISSING: {
    fault: 'operator',
    means: 'A file of the model is missing.',
    advice: 'Add the model again with `spyoncino models add`.',
  },
  MODEL_CORRUPT: {
    fault: 'operator',
    means: 'A file of the model is not the one its manifest describes (SHA-256 differs).',
    advice: 'Add the model again with `spyoncino models add`.',
  },
  MODEL_SHAPE: {
    fault: 'operator',
    means: 'The model’s input or output does not have the shape its manifest says.',
    advice: 'Check `input` and `decoder` in model.yaml.',
  },
  MODEL_DOWNLOAD_FAILED: {
    fault: 'peer',
    means: 'The model could not be downloaded.',
    advice: 'Check the network, or fetch the file elsewhere and use `--from FILE`.',
  },
  BACKEND_UNAVAILABLE: {
    fault: 'operator',
    means: 'This detection backend cannot run on this machine.',
    advice: 'Choose another `detection.backend`, or `auto`.',
  },
  DETECTOR_FAILED: {
    fault: 'internal',
    means: 'The detector failed while it worked.',
    advice: 'Nothing now: it restarts and recording goes on. Please report it with the log.',
  },
  DETECTOR_STARVED: {
    fault: 'operator',
    means: 'The detector cannot keep up: a camera waits too long to be looked at.',
    advice:
      'Compare models with `spyoncino models bench` and choose a faster one, lower `detection.fps` of cameras, or mask motion that is of no interest. Recording is not affected.',
  },
  DISK_WRITE_FAILED: {
    fault: 'operator',
    means: 'Footage could not be written.',
    advice: 'Check free space and health of the disk at the data directory.',
  },
  DISK_READ_FAILED: {
    fault: 'operator',
    means: 'Footage could not be read.',
    advice: 'Check the health of the disk at the data directory, and that this user may read it.',
  },
  DISK_TOO_SLOW: {
    fault: 'operator',
    means: 'The disk is slower than the camera; the oldest unwritten footage was given up.',
    advice: 'Use a faster card or disk, or lower the camera’s bitrate.',
  },
  DISK_FULL: {
    fault: 'operator',
    means: 'The disk at the data directory is full.',
    advice: 'Free space, lower the limits under `storage.retention`, or use a larger disk.',
  },
  DISK_READ_ONLY: {
    fault: 'operator',
    means: 'The disk at the data directory is read-only.',
    advice: 'Check the mount options; a disk that turned read-only by itself is failing: replace it.',
  },
  STORAGE_LOW: {
    fault: 'operator',
    means: 'The space that must stay free cannot be kept: what is left to delete is protected or not ours.',
    advice: 'Remove protection from old footage, move other files away, or use a larger disk.',
  },
  MEDIA_MISSING: {
    fault: 'operator',
    means: 'The disk with the footage is not mounted: its directory does not carry our identity file.',
    advice: 'Mount it, or run `spyoncino media accept` to go on with what is mounted now.',
  },
  MEDIA_FOREIGN: {
    fault: 'operator',
    means: 'Another disk is mounted than the one this device records to.',
    advice: 'Mount the right one, or run `spyoncino media accept` to go on with this one.',
  },
  INDEX_UNUSABLE: {
    fault: 'operator',
    means: 'The index of the footage cannot be opened.',
    advice:
      'It was set aside and is made anew from the footage itself; if this repeats, check the disk at the data directory.',
  },
  DATA_DIR_IN_USE: {
    fault: 'operator',
    means: 'Another agent already works on this data directory.',
    advice:
      'Stop it first (two would take the footage out of each other’s hands), or give this one a --data-dir of its own.',
  },
  INDEX_NEWER: {
    fault: 'operator',
    means: 'The index of the footage was written by a newer version.',
    advice: 'Start the newer version again, or restore the copy made before the upgrade (index.sqlite.v…).',
  },
  INDEX_UNAVAILABLE: {
    fault: 'internal',
    means: 'The index of the footage cannot be asked now.',
    advice: 'Nothing now: recording goes on, and the index comes back by itself. Ask again in a moment.',
  },
  AGENT_OFF: {
    fault: 'operator',
    means: 'The agent was not running.',
    advice: 'If nobody stopped it: check the power supply, and the log from before.',
  },
  FOOTAGE_NOT_FOUND: {
    fault: 'operator',
    means: 'There is no footage of this camera in this time.',
    advice: 'Check camera and times; the timeline shows what there is, and why there are gaps.',
  },
  FOOTAGE_ALTERED: {
    fault: 'operator',
    means: 'The footage is not what was recorded: its bytes do not match the chain.',
    advice: 'Keep the file as it is; `spyoncino verify` names the first difference.',
  },
  PORT_IN_USE: {
    fault: 'operator',
    means: 'Another program listens on a port that we need.',
    advice: 'Stop it (an agent may already run), or change the port in config.yaml.',
  },
  BUS_UNREACHABLE: {
    fault: 'operator',
    means: 'No agent answers at the bus address.',
    advice: 'Start the agent with `./scripts/run`, or name another with --host and --port.',
  },
  BALENA_UNREACHABLE: {
    fault: 'operator',
    means: 'The supervisor of this balena device cannot be asked.',
    advice:
      'Give the service the label `io.balena.features.supervisor-api`; cameras and footage do not depend on it.',
  },
  BALENA_NO_LOCK: {
    fault: 'operator',
    means: 'Updates of this balena device cannot be held back while an event is recorded.',
    advice: 'Look whether /tmp/balena is there and writable in the service; the supervisor puts it there.',
  },
  BRIDGE_UNREACHABLE: {
    fault: 'operator',
    means: 'The MQTT broker that messages are passed on to cannot be reached, or does not let us in.',
    advice:
      'Check `bus.bridge` in config.yaml, its password in secrets.yaml, and the other broker; messages are kept until then.',
  },
  NOTIFY_UNCONFIGURED: {
    fault: 'operator',
    means: 'A way of telling people is switched on, but something it needs is missing or does not fit.',
    advice:
      'Set what the message names, in secrets.yaml or config.yaml; `system.notification.test` tries it.',
  },
  NOTIFY_UNREACHABLE: {
    fault: 'peer',
    means: 'Whoever should pass on or take a notification cannot be reached.',
    advice: 'Check the network and the address. Nothing is lost: it is tried again until it works.',
  },
  NOTIFY_TLS: {
    fault: 'operator',
    means: 'The receiver of notifications cannot prove who it is, or does not speak TLS.',
    advice:
      'Check the clock of this machine and the receiver’s certificate; `ca_file` names who vouches for it.',
  },
  NOTIFY_UNAUTHORIZED: {
    fault: 'operator',
    means: 'The receiver of notifications rejects the token, name or password.',
    advice: 'Set the right one in secrets.yaml. Nothing is lost: it is tried again until it works.',
  },
  NOTIFY_REFUSED: {
    fault: 'peer',
    means: 'The receiver does not take this notification.',
    advice: 'Check the address, chat or recipients; the receiver’s own log may say more.',
  },
  NOTIFY_THROTTLED: {
    fault: 'peer',
    means: 'The receiver asks for fewer notifications.',
    advice: 'Nothing now: they are sent later. If it repeats, lower `outputs.rate_limit`.',
  },
  NOTIFY_FAILED: {
    fault: 'peer',
    means: 'The receiver of notifications failed.',
    advice: 'Nothing now: it is tried again. If it repeats, look at the receiver.',
  },
  NOTIFY_PAUSED: {
    fault: 'operator',
    means: 'Notifications are paused: what happens meanwhile is not told, now or later.',
    advice: '`pipeline.resume` with the same module goes on with what happens from then on.',
  },
  NOTIFY_STANDBY: {
    fault: 'operator',
    means: 'This node stands by (SPYONCINO_STANDBY): another one tells people.',
    advice: 'Start it without SPYONCINO_STANDBY when it is to tell them itself.',
  },
  GPIO_TOOL_MISSING: {
    fault: 'operator',
    means: 'The tools by which GPIO lines are reached are not installed.',
    advice: 'Install the package `gpiod`, version 2 or later; it is looked for again by itself.',
  },
  GPIO_TOOL_OLD: {
    fault: 'operator',
    means: 'The tools by which GPIO lines are reached are too old.',
    advice: 'Version 2 or later of the package `gpiod` is needed: Debian 13 has it, Debian 12 has not.',
  },
  GPIO_CHIP_MISSING: {
    fault: 'operator',
    means: 'There is no such GPIO chip.',
    advice:
      '`gpiodetect` lists all chips; plug it in, or name another in config.yaml. It is looked for by itself.',
  },
  GPIO_LINE_UNKNOWN: {
    fault: 'operator',
    means: 'The GPIO chip has no such line, or the line cannot do what is asked of it.',
    advice: '`gpioinfo` lists all lines; mend `line`, `bias` or `drive` in config.yaml.',
  },
  GPIO_LINE_BUSY: {
    fault: 'operator',
    means: 'Something else uses the GPIO line.',
    advice: '`gpioinfo` says who: stop it, or use another line. It is tried again by itself.',
  },
  GPIO_DENIED: {
    fault: 'operator',
    means: 'The agent may not use the GPIO chip.',
    advice: 'Add the agent’s user to the group `gpio`, or whichever owns /dev/gpiochip*, and start it again.',
  },
  GPIO_FAILED: {
    fault: 'operator',
    means: 'A GPIO line cannot be held.',
    advice: 'See the message; it is tried again by itself.',
  },
  GPIO_UNKNOWN: {
    fault: 'peer',
    means: 'There is no GPIO output of this name.',
    advice: 'They are listed under `gpio.outputs` in config.yaml.',
  },
  GPIO_PAUSED: {
    fault: 'operator',
    means: 'The GPIO output is paused, so it stays off.',
    advice: '`pipeline.resume` with the same module lets it run again.',
  },
  GPIO_RESTING: {
    fault: 'operator',
    means: 'The GPIO output ran just now and rests before it may run again.',
    advice: 'Ask again in a moment; `rest_seconds` of the output says how long.',
  },
  S3_CREDENTIALS_MISSING: {
    fault: 'operator',
    means: 'There are no keys for the server with the bucket.',
    advice:
      'Set storage.remote.access_key_id and storage.remote.secret_access_key in secrets.yaml; what waits is kept.',
  },
  S3_KEY_REJECTED: {
    fault: 'operator',
    means: 'The server with the bucket does not accept the keys.',
    advice: 'Check storage.remote.access_key_id and secret_access_key in secrets.yaml; what waits is kept.',
  },
  S3_FORBIDDEN: {
    fault: 'operator',
    means: 'The keys are good, but may not do this in the bucket.',
    advice:
      'Allow them to list the bucket, and to read, write and abort uploads below the prefix; what waits is kept.',
  },
  S3_BUCKET_MISSING: {
    fault: 'operator',
    means: 'There is no such bucket.',
    advice: 'Make the bucket, or mend storage.remote.bucket; what waits is kept.',
  },
  S3_REGION_WRONG: {
    fault: 'operator',
    means: 'The bucket is in another region.',
    advice: 'Set storage.remote.region to the one in the message, or to null.',
  },
  S3_CLOCK_SKEW: {
    fault: 'operator',
    means: 'The clock of this device and that of the server with the bucket differ too much.',
    advice: 'Let the device keep its time by NTP (`timedatectl`); what waits is kept.',
  },
  S3_TLS_FAILED: {
    fault: 'operator',
    means: 'The connection to the server with the bucket cannot be trusted.',
    advice:
      'Check its certificate and name; set storage.remote.ca_file where it is vouched for by a CA of your own.',
  },
  S3_UNREACHABLE: {
    fault: 'peer',
    means: 'Nothing answers at the address of the server with the bucket.',
    advice: 'Check storage.remote.endpoint and the network; what waits is kept and sent later.',
  },
  S3_INTERRUPTED: {
    fault: 'peer',
    means: 'The connection to the server with the bucket broke.',
    advice: 'Nothing to do: it goes on where it was.',
  },
  S3_SLOW_DOWN: {
    fault: 'peer',
    means: 'The server with the bucket asks for fewer requests.',
    advice: 'Nothing to do: it goes on more slowly. If it lasts, lower storage.remote.max_concurrency.',
  },
  S3_UNAVAILABLE: {
    fault: 'peer',
    means: 'The server with the bucket cannot work now.',
    advice: 'Nothing to do but for whoever runs it; what waits is kept and sent later.',
  },
  S3_FULL: {
    fault: 'operator',
    means: 'There is no more room in the bucket.',
    advice: 'Give it more, or let a lifecycle rule delete what is old; what waits is kept.',
  },
  S3_CORRUPTED: {
    fault: 'peer',
    means: 'What arrived in the bucket is not what was sent.',
    advice: 'It is sent again. If it lasts, look at what lies between the device and the server.',
  },
  S3_FAILED: {
    fault: 'peer',
    means: 'The server with the bucket refused for a reason that we have no better word for.',
    advice: 'See the message; what waits is kept and sent later.',
  },
  SEAL_UNKNOWN: {
    fault: 'operator',
    means: 'This is not encrypted by us, or by a newer version.',
    advice: 'Check which file it is; one that was not encrypted can be used as it is.',
  },
  SEAL_KEY_NEEDED: {
    fault: 'operator',
    means: 'It is encrypted, and no key was given.',
    advice: 'Give the file with the private key: --key FILE. The key is not on the device.',
  },
  SEAL_KEY_WRONG: {
    fault: 'operator',
    means: 'It is encrypted for another key.',
    advice: '`spyoncino keys show FILE` names the key in a file; --key may be given several times.',
  },
  SEAL_KEY_UNUSABLE: {
    fault: 'operator',
    means: 'The file with the private key cannot be used.',
    advice: 'Take the one that `spyoncino keys new` wrote.',
  },
  SEAL_BROKEN: {
    fault: 'peer',
    means: 'It is not what was encrypted: bytes were changed, moved or added.',
    advice: 'Fetch it again. If that does not help, it was altered where it was kept.',
  },
  SEAL_TRUNCATED: {
    fault: 'peer',
    means: 'It ends too early: a part of what was encrypted is missing.',
    advice: 'Fetch it again; `spyoncino remote verify` says whether it is whole in the bucket.',
  },
  SEAL_SWAPPED: {
    fault: 'peer',
    means: 'It is genuine, but another object than its place or name says.',
    advice: 'Somebody moved it. Its own name is in the message.',
  },
  UPLOADS_STANDBY: {
    fault: 'operator',
    means: 'This agent stands by (SPYONCINO_STANDBY=1) and leaves uploads to another.',
    advice: 'Nothing to do: without the variable it takes them up.',
  },
  UPLOADS_OFF: {
    fault: 'operator',
    means: 'Nothing is copied to a bucket.',
    advice: 'Set storage.remote in config.yaml.',
  },
  FOOTAGE_UNAVAILABLE: {
    fault: 'operator',
    means: 'The demonstration footage could not be fetched.',
    advice:
      'Connect this Debian-based machine to the network and start again; a test pattern serves until then.',
  },
  COMMAND_UNKNOWN: {
    fault: 'peer',
    means: 'There is no such command.',
    advice: 'device/design/commands.md lists them all.',
  },
  COMMAND_INVALID: {
    fault: 'peer',
    means: 'The command is not complete or not well formed; nothing was done.',
    advice: 'Mend the fields named in the message.',
  },
  COMMAND_FAILED: {
    fault: 'internal',
    means: 'The command failed in a way we have no better word for.',
    advice: 'Please report it with the log.',
  },
  COMMAND_TIMEOUT: {
    fault: 'internal',
    means: 'The command was not done in time.',
    advice: 'Look at `status.health.summary` for what is stuck, then try again.',
  },
  TOO_MANY_REQUESTS: {
    fault: 'peer',
    means: 'Too many requests in a short time.',
    advice: 'Wait a moment; the limits are in config.yaml.',
  },
  UNAUTHENTICATED: {
    fault: 'peer',
    means: 'Nobody said who asks, or the name or secret is wrong.',
    advice: 'Sign in, or send a token; `spyoncino users` manages both on the device.',
  },
  FORBIDDEN: {
    fault: 'peer',
    means: 'This user may not do that.',
    advice: 'Ask an admin of the device.',
  },
  LOCKED_OUT: {
    fault: 'peer',
    means: 'Too many wrong passwords or codes from this address; it has to wait.',
    advice: 'Wait five minutes, then try again.',
  },
  PASSWORD_WEAK: {
    fault: 'peer',
    means: 'The password is too easy to guess.',
    advice: 'Use at least 10 characters, not the name, and not one of the most common passwords.',
  },
  ACCOUNT_UNKNOWN: {
    fault: 'operator',
    means: 'There is no user or token of this name.',
    advice: '`spyoncino users` lists both.',
  },
  ACCOUNT_EXISTS: {
    fault: 'operator',
    means: 'There is a user or token of this name already.',
    advice: 'Choose another name, or remove the old one first.',
  },
  ACCOUNT_LAST_ADMIN: {
    fault: 'operator',
    means: 'This is the last admin; without one nobody could administer the device.',
    advice: 'Make another user admin first.',
  },
  ACCESS_UNREADABLE: {
    fault: 'operator',
    means: 'The list of users is damaged or cannot be read, so nobody can sign in.',
    advice:
      'Restore access.json in the state directory from a backup, or delete it to set the device up anew.',
  },
  SETUP_CLOSED: {
    fault: 'peer',
    means: 'The device has an owner already.',
    advice: 'Ask the owner for an account.',
  },
  NOT_READY: {
    fault: 'operator',
    means: 'The device runs, but does not do its work.',
    advice: 'See `status.health.summary` for what ails it.',
  },
  MODULE_UNKNOWN: {
    fault: 'peer',
    means: 'There is no such module here.',
    advice: '`status.health.summary` lists all modules.',
  },
  RESILIENCE_INJECTED: {
    fault: 'operator',
    means: 'The resilience tester made this fail on purpose.',
    advice: 'Disarm the scenario that the message names with `resilience.toggle`.',
  },
  SCENARIO_UNKNOWN: {
    fault: 'peer',
    means: 'There is no resilience scenario of this name.',
    advice: 'They are listed under `system.resilience.scenarios` in config.yaml.',
  },
  MODULE_FAILED: {
    fault: 'internal',
    means: 'A module could not say how it is.',
    advice: 'Please report it with the log.',
  },
  MODULE_NOT_PAUSABLE: {
    fault: 'peer',
    means: 'This module cannot be paused.',
    advice: 'Disable what it does in the configuration instead.',
  },
  CAMERA_UNKNOWN: {
    fault: 'peer',
    means: 'There is no camera with this id.',
    advice: '`status.health.summary` lists all cameras.',
  },
  CAMERA_NOT_RUNNING: {
    fault: 'peer',
    means: 'The camera gives no pictures now.',
    advice: 'See `status.camera.<id>` for the reason.',
  },
  REQUEST_INVALID: {
    fault: 'peer',
    means: 'The request is not complete or not well formed; nothing was done.',
    advice: 'Mend the fields named in the message.',
  },
  REQUEST_TOO_LARGE: {
    fault: 'peer',
    means: 'The request is larger than anything that is taken.',
    advice: 'Send less at once.',
  },
  REQUEST_FAILED: {
    fault: 'internal',
    means: 'The request failed in a way we have no better word for.',
    advice: 'Please report it with the log.',
  },
  CROSS_SITE: {
    fault: 'peer',
    means:
      'A page of another site, or one that does not say who it is, asked in the name of who is signed in.',
    advice: 'Programs send a token instead of a cookie; pages send the header `x-spyoncino: 1`.',
  },
  NOT_FOUND: {
    fault: 'peer',
    means: 'There is nothing here.',
    advice: '`/api/openapi.json` lists all addresses; lists of events and clips have their ids.',
  },
  CERTIFICATE_INVALID: {
    fault: 'operator',
    means: 'A certificate and its key in config/certs cannot be used; the one from before stays.',
    advice: 'Put a matching pair in PEM format there, the certificate with its chain first.',
  },
  PAYLOAD_INVALID: {
    fault: 'internal',
    means: 'A message does not match the schema of its topic.',
    advice: 'Please report it with the log.',
  },
  UPDATE_NOT_AN_IMAGE: {
    fault: 'operator',
    means: 'This is not a box that was flashed with our image, so it does not update itself.',
    advice: 'Update it the way it was installed: see the message, and the runbook "Update".',
  },
  UPDATE_SOURCE_MISSING: {
    fault: 'operator',
    means: 'Nothing says where updates come from.',
    advice: 'Name an address or a file, `usb`, or set system.updates.source in config.yaml.',
  },
  UPDATE_NOT_FOUND: {
    fault: 'operator',
    means: 'There is no bundle at this place.',
    advice: 'Check the address, or that the USB stick is plugged in and has a .raucb file on it.',
  },
  UPDATE_UNREACHABLE: {
    fault: 'peer',
    means: 'The server with the update cannot be reached, or the connection broke.',
    advice: 'Check the network and try again: what arrived is kept, and the rest is fetched.',
  },
  UPDATE_CHANGED: {
    fault: 'peer',
    means: 'The server has another bundle now than the one that was begun.',
    advice: 'Try again: it is fetched from the start.',
  },
  UPDATE_UNSIGNED: {
    fault: 'operator',
    means: 'The bundle is not signed by whom this box trusts.',
    advice: 'Get it from where the image came from. It was not installed.',
  },
  UPDATE_TRUNCATED: {
    fault: 'operator',
    means: 'The file is not a whole bundle.',
    advice: 'Copy or fetch it again, and compare its checksum. It was not installed.',
  },
  UPDATE_WRONG_BOARD: {
    fault: 'operator',
    means: 'The bundle is for another kind of board.',
    advice: 'Get the one for this board. It was not installed.',
  },
  UPDATE_OLDER: {
    fault: 'operator',
    means: 'The bundle is older than what runs here.',
    advice: 'To go back to the version from before: `spyoncino update rollback`.',
  },
  UPDATE_NO_SPACE: {
    fault: 'operator',
    means: 'There is not enough room on the data partition for the update.',
    advice: 'Let older footage go (`storage.cleanup`), install it from a USB stick, or use --stream.',
  },
  UPDATE_RECORDING: {
    fault: 'operator',
    means: 'An event is being recorded now.',
    advice: 'Try again when it is over, or say `--now`.',
  },
  UPDATE_RUNNING: {
    fault: 'peer',
    means: 'An update is being done already.',
    advice: '`spyoncino update status` says how far it is.',
  },
  UPDATE_NO_WAY_BACK: {
    fault: 'operator',
    means: 'There is no other version on this box that would start.',
    advice: 'Flash the card with the image of the version that you want; keep the data partition.',
  },
  UPDATE_ROLLED_BACK: {
    fault: 'operator',
    means: 'The new version did not do its work, so the box went back to the one from before.',
    advice: 'Read in the message why. Another version, or the same one later, may be installed.',
  },
  UPDATE_FAILED: {
    fault: 'internal',
    means: 'The update failed in a way we have no better word for; what runs here was not touched.',
    advice: 'Try again; if it repeats, report it with the log of rauc.service.',
  },
  GATE_AGENT_SILENT: {
    fault: 'internal',
    means: 'The agent did not answer on its bus.',
    advice: 'Look at the log of the agent.',
  },
  GATE_AGENT_CRASHES: {
    fault: 'internal',
    means: 'The agent ends again and again.',
    advice: 'Look at the log of the agent.',
  },
  GATE_BUS_FAILED: {
    fault: 'internal',
    means: 'What was asked on the bus was not answered as it should be.',
    advice: 'Look at the log of the agent.',
  },
  GATE_NO_FRAME: {
    fault: 'operator',
    means: 'No camera gives pictures.',
    advice: 'Check power and network of the cameras; `status.camera.<id>` has the reason.',
  },
  GATE_NO_FRAGMENT: {
    fault: 'operator',
    means: 'No footage arrived on the data partition.',
    advice: 'Check the disk: `spyoncino media`, `status.health.summary`.',
  },
  GATE_DATA_NOT_WRITABLE: {
    fault: 'operator',
    means: 'Nothing can be written to the data partition.',
    advice: 'Check that it is mounted, not full, and that the card is well.',
  },
  GATE_API_FAILED: {
    fault: 'internal',
    means: 'The control API did not answer over TLS as it should.',
    advice: 'Check certificate and port of system.control_api.',
  },
  GATE_SETTINGS_INVALID: {
    fault: 'operator',
    means: 'The configuration cannot be read by this version.',
    advice: 'Mend the keys that the message names.',
  },
  RESET_NOT_AN_IMAGE: {
    fault: 'operator',
    means: 'This is not a box that was flashed with our image, so it does not erase itself.',
    advice: 'Stop the agent, and delete its data directory and its configuration.',
  },
  RESET_FAILED: {
    fault: 'operator',
    means: 'The box cannot be asked to erase itself.',
    advice: 'Put an empty file called factory-reset on the firmware partition, and start the box.',
  },
  PROVISION_UNREADABLE: {
    fault: 'operator',
    means: 'A file with settings on the boot partition cannot be read.',
    advice: 'Check its syntax at the line in the message. Nothing of it was applied.',
  },
  PROVISION_INVALID: {
    fault: 'operator',
    means: 'A setting on the boot partition is not valid.',
    advice: 'Mend the key that the message names. Nothing was applied.',
  },
  PROVISION_IGNORED: {
    fault: 'operator',
    means: 'A setting on the boot partition is not used here.',
    advice: 'Nothing to do unless you count on it; the message says what serves instead.',
  },
  PROVISION_FOREIGN: {
    fault: 'operator',
    means: 'The settings on the boot partition are a script for Raspberry Pi OS, which is not run here.',
    advice:
      'Flash again with Raspberry Pi Imager 2 and our repository file, or put a spyoncino.yaml on the boot partition.',
  },
  PROVISION_FAILED: {
    fault: 'operator',
    means: 'The settings of the boot partition could not be written.',
    advice: 'Check that the data partition is there and not full; it is tried again at the next start.',
  },
  USAGE: {
    fault: 'operator',
    means: 'The command line is not understood.',
    advice: 'See `spyoncino <verb> --help`.',
  },
} as const satisfies Record<string, ErrorSpec>;

export type ErrorCode = keyof typeof ERRORS;

/** The form in which errors travel between processes and to people. */
export interface ErrorReport {
  readonly code: ErrorCode;
  /** What happened this time. Never contains credentials. */
  readonly message: string;
  readonly advice: string;
}

/** An error that a person can act on. `message` says what happened this time; the table says the rest. */
export class CodedError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, detail?: string, options?: ErrorOptions) {
    super(detail === undefined ? ERRORS[code].means : `${ERRORS[code].means} (${detail})`, options);
    this.name = 'CodedError';
    this.code = code;
  }

  /** The error that was met in another thread or process. */
  static of({ code, message }: ErrorReport): CodedError {
    const error = new CodedError(code);
    error.message = message;
    return error;
  }

  get advice(): string {
    return ERRORS[this.code].advice;
  }

  report(): ErrorReport {
    return { code: this.code, message: this.message, advice: this.advice };
  }

  /** As it was before it became a report. */
  static revive({ code, message }: ErrorReport): CodedError {
    const error = new CodedError(code);
    error.message = message;
    return error;
  }

  /** `error` itself when it is coded already, else wrapped under `code` with the original as cause. */
  static from(error: unknown, code: ErrorCode): CodedError {
    if (error instanceof CodedError) return error;
    return new CodedError(code, error instanceof Error ? error.message : String(error), { cause: error });
  }
}
