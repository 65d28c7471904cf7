import { expect, test } from 'vitest';
import { faultOf } from '../../../device/gpio/faults.ts';

const LINE = { chip: 'gpiochip0', line: 'GPIO17', isActiveLow: false, bias: 'as-is' } as const;

/** As gpioset and gpiomon 2.2 say it. */
test.each([
  ["gpioset: cannot find GPIO chip character device 'gpiochip0'", 'GPIO_CHIP_MISSING'],
  ["gpioset: unable to open chip '/dev/gpiochip0': Permission denied", 'GPIO_DENIED'],
  ["gpioset: unable to request lines on chip '/dev/gpiochip0': Device or resource busy", 'GPIO_LINE_BUSY'],
  ["gpiomon: cannot find line 'GPIO17'", 'GPIO_LINE_UNKNOWN'],
  ["gpioset: offset 99 is out of range on chip '/dev/gpiochip0'", 'GPIO_LINE_UNKNOWN'],
  ["gpioset: unable to set values on '/dev/gpiochip0': No such device", 'GPIO_CHIP_MISSING'],
  ['Segmentation fault', 'GPIO_FAILED'],
  ['', 'GPIO_FAILED'],
])('%j is %s', (complaint, code) => {
  expect(faultOf(complaint, LINE)).toMatchObject({ code, message: expect.stringContaining('GPIO17') });
});
