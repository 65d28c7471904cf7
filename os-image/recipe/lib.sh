# Sourced by the steps of the recipe. POSIX sh.

say() { printf 'image: %s\n' "$*" >&2; }

give_up() {
  say "$1"
  shift
  for advice in "$@"; do printf '  %s\n' "$advice" >&2; done
  exit 78 # EX_CONFIG of sysexits.h
}

need_root() {
  [ "$(id -u)" = 0 ] || give_up 'making a file system of another machine needs root (chroot, file owners).' \
    'Start it again with sudo.'
}

# write_sources KEYRING: the archives an image is made of, in deb822.
write_sources() {
  cat <<SOURCES
Types: deb
URIs: ${SPYONCINO_DEBIAN_MIRROR:-http://deb.debian.org/debian}
Suites: trixie trixie-updates trixie-backports
Components: main non-free-firmware
Signed-By: $1

Types: deb
URIs: ${SPYONCINO_DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}
Suites: trixie-security
Components: main non-free-firmware
Signed-By: $1
SOURCES
}
