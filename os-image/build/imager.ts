/** The list that Raspberry Pi Imager offers images from (`rpi-imager --repo URL`). Pure. */

export interface Download {
  /** Where the artefacts lie; without a slash at the end. */
  readonly url: string;
  readonly version: string;
  /** YYYY-MM-DD. */
  readonly date: string;
  readonly file: string;
  readonly fileBytes: number;
  readonly fileSha256: string;
  readonly diskBytes: number;
  readonly diskSha256: string;
  readonly icon: string;
}

/** Families as Imager tags them: a tag stands for the compute module and the keyboard of its family as well. */
const DEVICES = ['pi5-64bit', 'pi4-64bit', 'pi3-64bit'];

export const imagerList = (download: Download): object => ({
  os_list: [
    {
      name: `Spyoncino ${download.version}`,
      description:
        'Camera appliance: records cameras without losing a finished second, and tells you (Pi 3, 4, 5)',
      icon: `${download.url}/${download.icon}`,
      url: `${download.url}/${download.file}`,
      bmap_url: `${download.url}/${download.file.replace(/\.xz$/, '.bmap')}`,
      extract_size: download.diskBytes,
      extract_sha256: download.diskSha256,
      image_download_size: download.fileBytes,
      image_download_sha256: download.fileSha256,
      release_date: download.date,
      devices: DEVICES,
      architecture: 'armv8',
      // What Imager then leaves on the firmware partition (`user-data`, `network-config`) is read at the first boot.
      init_format: 'cloudinit',
      capabilities: [],
    },
  ],
});
