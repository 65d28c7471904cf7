import { expect, test } from 'vitest';
import { imagerList } from '../../../os-image/build/imager.ts';

/** What the schema of Raspberry Pi Imager demands of an entry, and of which type. */
const DEMANDED: Readonly<Record<string, string>> = {
  name: 'string',
  description: 'string',
  icon: 'string',
  url: 'string',
  extract_size: 'number',
  extract_sha256: 'string',
  image_download_size: 'number',
  release_date: 'string',
};

test('the list has what Imager demands, and the sizes and sums of the artefact', () => {
  const list = imagerList({
    url: 'https://downloads.example/spyoncino',
    version: '1.2.3',
    date: '2026-01-02',
    file: 'spyoncino-1.2.3-raspberrypi.img.xz',
    fileBytes: 12,
    fileSha256: 'f'.repeat(64),
    diskBytes: 34,
    diskSha256: 'd'.repeat(64),
    icon: 'spyoncino.svg',
  }) as { os_list: readonly Record<string, unknown>[] };
  expect(Object.keys(list)).toEqual(['os_list']);
  const [entry] = list.os_list;
  for (const [field, type] of Object.entries(DEMANDED))
    expect([field, typeof entry?.[field]]).toEqual([field, type]);
  expect(entry).toMatchObject({
    url: 'https://downloads.example/spyoncino/spyoncino-1.2.3-raspberrypi.img.xz',
    bmap_url: 'https://downloads.example/spyoncino/spyoncino-1.2.3-raspberrypi.img.bmap',
    extract_size: 34,
    extract_sha256: 'd'.repeat(64),
    image_download_size: 12,
    image_download_sha256: 'f'.repeat(64),
    devices: ['pi5-64bit', 'pi4-64bit', 'pi3-64bit'],
  });
});
