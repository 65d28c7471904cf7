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

# apt_for ARCHITECTURE DIR ARGUMENT…: apt with lists and caches of its own in DIR, knowing that architecture alone.
apt_for() {
  apt_architecture=$1 apt_dir=$2
  shift 2
  mkdir -p "$apt_dir/lists/partial" "$apt_dir/archives/partial" "$apt_dir/parts"
  [ -e "$apt_dir/debian.sources" ] ||
    write_sources /usr/share/keyrings/debian-archive-keyring.gpg >"$apt_dir/debian.sources"
  "${apt_command:-apt-get}" -qq -o APT::Architecture="$apt_architecture" -o APT::Architectures="$apt_architecture" \
    -o Dir::Etc::sourcelist="$apt_dir/debian.sources" -o Dir::Etc::sourceparts="$apt_dir/parts" \
    -o Dir::State::lists="$apt_dir/lists" -o Dir::Cache::archives="$apt_dir/archives" -o Dir::Cache::pkgcache= \
    -o Dir::Cache::srcpkgcache= -o Dir::State::status=/dev/null -o APT::Sandbox::User=root "$@"
}

# fetch_packages ARCHITECTURE DIR NAME[/SUITE]…: downloads these packages into DIR/debs, unpacks them into DIR/root and
# notes name, version and architecture in DIR/packages.tsv for the bill of materials.
fetch_packages() {
  fetch_architecture=$1 fetch_dir=$2
  shift 2
  rm -rf "$fetch_dir/debs" "$fetch_dir/root"
  mkdir -p "$fetch_dir/debs" "$fetch_dir/root"
  (cd "$fetch_dir/debs" && apt_for "$fetch_architecture" "$fetch_dir/../apt-$fetch_architecture" download "$@")
  for deb in "$fetch_dir"/debs/*.deb; do
    dpkg-deb -x "$deb" "$fetch_dir/root"
    dpkg-deb --showformat='${Package}\t${Version}\t${Architecture}\n' --show "$deb"
  done >"$fetch_dir/packages.tsv"
  rm -rf "$fetch_dir/debs"
}
