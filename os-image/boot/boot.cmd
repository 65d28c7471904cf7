# The boot script, the same on every board (U-Boot's hush). Chooses a slot by the boot state, takes one attempt away in one
# write, and starts it. Format and rules: device/design/image.md.

if test "${board}" = "qemu-arm"; then
  setenv ramdisk_addr_r 0x50000000
  setenv kernel_comp_addr_r 0x58000000
  setenv kernel_comp_size 0x04000000
  setenv state_addr 0x4c000000
  setenv console_args "console=ttyAMA0,115200"
else
  # Raspberry Pi. U-Boot's own addresses let a kernel of today overwrite the rest. This fits 512 MB, and keeps clear of where
  # the firmware leaves its device tree (at the end of memory; QEMU: 0x08000000), which is read again at the very end.
  setenv fdt_addr_r 0x02c00000
  setenv state_addr 0x03000000
  setenv kernel_addr_r 0x04000000
  setenv kernel_comp_addr_r 0x0a000000
  setenv kernel_comp_size 0x04000000
  setenv ramdisk_addr_r 0x0e000000
  setenv console_args "console=tty1 console=ttyAMA10,115200 console=ttyS1,115200"
fi
setexpr copy_addr ${state_addr} + 0x10000

part start ${devtype} ${devnum} boot_state state_block
setexpr second_block ${state_block} + 0x80

# The valid copy of the higher number counts; the other one is written.
setenv seq_1; setenv seq_2
setenv names "BOOT_SEQ BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT BOOT_A_STATE BOOT_B_STATE BOOT_RECOVERY"
setenv BOOT_SEQ
if ${devtype} read ${state_addr} ${state_block} 0x20; then
  if env import -c ${state_addr} 0x4000 BOOT_SEQ; then setenv seq_1 ${BOOT_SEQ}; fi
fi
setenv BOOT_SEQ
if ${devtype} read ${copy_addr} ${second_block} 0x20; then
  if env import -c ${copy_addr} 0x4000 BOOT_SEQ; then setenv seq_2 ${BOOT_SEQ}; fi
fi
setenv from
if test -n "${seq_1}" && test -n "${seq_2}"; then
  if itest 0x${seq_1} -ge 0x${seq_2}; then setenv from 1; else setenv from 2; fi
elif test -n "${seq_1}"; then
  setenv from 1
elif test -n "${seq_2}"; then
  setenv from 2
fi
setenv BOOT_RECOVERY none
if test "${from}" = "1"; then
  env import -c ${state_addr} 0x4000 ${names}
  setenv write_block ${second_block}
elif test "${from}" = "2"; then
  env import -c ${copy_addr} 0x4000 ${names}
  setenv write_block ${state_block}
else
  echo "spyoncino: both copies of the boot state are lost"
  setenv BOOT_SEQ 0; setenv BOOT_ORDER "A B"; setenv BOOT_RECOVERY state-lost
  setenv BOOT_A_LEFT 3; setenv BOOT_B_LEFT 3; setenv BOOT_A_STATE trial; setenv BOOT_B_STATE trial
  setenv write_block ${state_block}
fi
if test -n "${from}"; then setenv BOOT_RECOVERY none; fi
echo "spyoncino: state ${BOOT_SEQ} order ${BOOT_ORDER} A ${BOOT_A_STATE} ${BOOT_A_LEFT} B ${BOOT_B_STATE} ${BOOT_B_LEFT}"

setenv choose '
  setenv slot
  for one in ${BOOT_ORDER}; do
    if test -z "${slot}"; then
      if test "${one}" = "A"; then setenv left ${BOOT_A_LEFT}; setenv what ${BOOT_A_STATE}; else setenv left ${BOOT_B_LEFT}; setenv what ${BOOT_B_STATE}; fi
      if test "${what}" = "good" || test "${what}" = "trial"; then
        if itest 0x${left} -gt 0; then setenv slot ${one}; fi
      fi
    fi
  done'
run choose
if test -z "${slot}"; then
  echo "spyoncino: no slot has attempts left"
  setenv BOOT_RECOVERY no-slot-left
  if test "${BOOT_A_STATE}" = "good"; then setenv BOOT_A_LEFT 3; fi
  if test "${BOOT_B_STATE}" = "good"; then setenv BOOT_B_LEFT 3; fi
  run choose
fi
if test -z "${slot}"; then
  if test "${BOOT_A_STATE}" != "empty"; then setenv BOOT_A_LEFT 1; setenv BOOT_A_STATE trial; fi
  if test "${BOOT_B_STATE}" != "empty"; then setenv BOOT_B_LEFT 1; setenv BOOT_B_STATE trial; fi
  run choose
fi

if test "${slot}" = "A"; then
  setexpr BOOT_A_LEFT 0x${BOOT_A_LEFT} - 1
  setenv left ${BOOT_A_LEFT}; setenv what ${BOOT_A_STATE}; setenv boot_name boot_a; setenv root_name root_a
else
  setexpr BOOT_B_LEFT 0x${BOOT_B_LEFT} - 1
  setenv left ${BOOT_B_LEFT}; setenv what ${BOOT_B_STATE}; setenv boot_name boot_b; setenv root_name root_b
fi
setexpr BOOT_SEQ 0x${BOOT_SEQ} + 1
mw.b ${state_addr} 0 0x4000
env export -c -s 0x4000 ${state_addr} ${names}
if ${devtype} write ${state_addr} ${write_block} 0x20; then true; else echo "spyoncino: the boot state cannot be written"; fi

if test "${what}" = "trial"; then setenv trial 1; else setenv trial 0; fi
echo "spyoncino: booting slot ${slot}, ${what}, ${left} attempts left, recovery ${BOOT_RECOVERY}"
part number ${devtype} ${devnum} ${boot_name} boot_part
part number ${devtype} ${devnum} ${root_name} root_part
part uuid ${devtype} ${devnum}:${root_part} root_uuid
setenv verity
if load ${devtype} ${devnum}:${boot_part} ${ramdisk_addr_r} slot.env; then
  env import -t ${ramdisk_addr_r} ${filesize} verity
fi
# Who can write this partition can replace this very script: more of the kernel's command line gives away nothing.
setenv spyoncino_args
if load ${devtype} ${devnum}:1 ${ramdisk_addr_r} spyoncino.env; then
  env import -t ${ramdisk_addr_r} ${filesize} spyoncino_args
fi
setenv bootargs "${console_args} gpt panic=5 quiet loglevel=4 rauc.slot=${slot} spyoncino.slot=${slot} spyoncino.trial=${trial} spyoncino.left=${left} spyoncino.recovery=${BOOT_RECOVERY} spyoncino.root=${root_uuid} spyoncino.verity=${verity} ${spyoncino_args}"

setenv tree ${fdt_addr}
if test "${board}" != "qemu-arm"; then
  # The later revision of the Pi 5's chip is known by the tree that its firmware chose; U-Boot has one name for both.
  if fdt addr ${fdt_addr} && fdt get value pins /soc@107c000000/pinctrl@7d504100 compatible; then
    if test "${pins}" = "brcm,bcm2712d0-pinctrl"; then setenv fdtfile broadcom/bcm2712-d-rpi-5-b.dtb; fi
  fi
  if load ${devtype} ${devnum}:${boot_part} ${fdt_addr_r} dtb/${fdtfile}; then setenv tree ${fdt_addr_r}; fi
fi
if load ${devtype} ${devnum}:${boot_part} ${kernel_addr_r} Image.gz; then
  if load ${devtype} ${devnum}:${boot_part} ${ramdisk_addr_r} initrd.img; then
    booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${tree}
  fi
fi
echo "spyoncino: slot ${slot} cannot be loaded"
sleep 1
reset
