# Sourced by scripts/run and scripts/test, with $root set: makes sure that node_modules fits package-lock.json
# and this machine. Costs a few milliseconds when it does. POSIX sh; no root needed.
#
# The system's Node and npm (>= 20) are needed for installing only: the Node that runs us is itself an npm package.

say() { printf 'spyoncino: %s\n' "$*" >&2; }

give_up() {
  say "$1"
  shift
  for advice in "$@"; do printf '  %s\n' "$advice" >&2; done
  exit 78 # EX_CONFIG of sysexits.h: a supervisor need not try again at once
}

check_machine() {
  case "$(uname -s)/$(uname -m)" in
    Linux/x86_64 | Linux/aarch64) ;;
    Linux/arm*) give_up "32-bit ARM is not supported (this is $(uname -m))." \
      'Raspberry Pi 3 and later run the 64-bit Raspberry Pi OS: flash that one.' ;;
    *) give_up "this is $(uname -s) on $(uname -m); supported are Linux on x86_64 and aarch64." ;;
  esac
  # A 64-bit kernel over 32-bit programs is what Raspberry Pi OS (32-bit) has on a Pi 4 and 5.
  [ "$(getconf LONG_BIT)" = 64 ] || give_up 'the kernel is 64-bit, but the system is 32-bit.' \
    'Flash the 64-bit Raspberry Pi OS.'
  getconf GNU_LIBC_VERSION >/dev/null 2>&1 || give_up 'this system does not use glibc, which our programs need.' \
    'Debian, Ubuntu, Raspberry Pi OS and Jetson Linux do; on Alpine, use the container image.'
}

check_node() {
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    give_up 'Node.js 20 or newer, with npm, is needed to install the rest.' \
      'Debian 13, Ubuntu 25.04 or newer, Raspberry Pi OS (trixie):  sudo apt-get install nodejs npm' \
      'Others: https://nodejs.org/en/download (any user can unpack it; no root needed).'
  fi
  node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' || give_up \
    "Node.js $(node --version) is too old to install the rest; 20 or newer is needed." \
    'See https://nodejs.org/en/download (any user can unpack it; no root needed).'
}

# What an installation depends on: the lock file, the machine, and this recipe's own settings.
fingerprint() { { cat "$root/package-lock.json" "$root/.npmrc" && uname -sm; } | cksum; }

# installed WHAT: whether node_modules has what WHAT (`runtime` or `everything`) asks for.
installed() {
  now=$(fingerprint)
  case "$(cat "$root/node_modules/.spyoncino-installed" 2>/dev/null)" in
    "$1 $now" | "everything $now") return 0 ;;
    '') # No stamp: somebody ran npm themselves. npm leaves its own mark, newer than the lock file it obeyed.
      [ "$root/node_modules/.package-lock.json" -nt "$root/package-lock.json" ] &&
        [ -x "$root/node_modules/.bin/node" ] && [ -d "$root/node_modules/vitest" ] ;;
    *) return 1 ;;
  esac
}

# ensure_installed WHAT, one at a time: a second caller waits for the first and then finds all done.
ensure_installed() {
  installed "$1" && return
  check_machine
  check_node
  mkdir -p "$root/.cache"
  (
    flock 9
    installed "$1" && exit
    what=$1
    # Never take away from a contributor's checkout what is there already.
    [ -d "$root/node_modules/vitest" ] && what=everything
    [ "$what" = runtime ] && omit=--omit=dev || omit=
    say "installing what package-lock.json names ($what); this takes a minute or two, once"
    rm -f "$root/node_modules/.spyoncino-installed"
    # shellcheck disable=SC2086 # nothing, or one word
    cd "$root" && npm ci $omit --no-audit --no-fund --no-update-notifier --loglevel=error >&2 ||
      give_up 'the installation failed; the reason stands above.' 'Check the network, then start again.'
    printf '%s %s\n' "$what" "$(fingerprint)" >"$root/node_modules/.spyoncino-installed"
  ) 9>"$root/.cache/install.lock" || exit
}
