#!/usr/bin/env bash
# What `./run test-vm` does once all is installed: the guest's image (made once, if there is to be a guest), the package
# (if anything in it is newer), the checks. XDG_CACHE_HOME/outrider-vm keeps the image and the console of the last guest.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly python=.venv/bin/python cache=${XDG_CACHE_HOME:-$HOME/.cache}/outrider-vm

fail() { echo "test-vm: $*" >&2; exit 1; }

suite() { # the Debian release whose Python is that of .venv, for which the package is built
    case $($python -c 'import sys; print(sys.version_info[1])') in
        11) echo bookworm ;;
        13) echo trixie ;;
        *) fail "no Debian release has the Python of .venv" ;;
    esac
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

package() { ls -t dist/outrider_*_amd64.deb 2>/dev/null | head -1; }

is_current() { # PACKAGE
    local newer
    [ -n "$1" ] || return 1
    newer=$(git ls-files -z --cached --others --exclude-standard -- agent drivers fleet simulators models firmware_config packaging |
        xargs -0 -I{} find {} -newer "$1" -print -quit)
    [ -z "$newer" ]
}

[ "$(dpkg --print-architecture)" = amd64 ] || fail "the guest and its package are for amd64 only"
guest=$($python -m tests.vm plan)
image=()
if [ -n "$guest" ]; then
    mkdir -p "$cache"
    suite=$(suite)
    image=("$cache/$suite-$(cat tests/vm/build_*.sh tests/vm/chip/* "$(command -v linux.uml)" | sha256sum | cut -c1-12).ext4")
    if [ ! -s "${image[0]}" ]; then
        echo "building the guest's image, once"
        rm -f "$cache/$suite"-*.ext4
        as_root tests/vm/build_image.sh "$suite" "${image[0]}" || fail "building the image needs root, or sudo without a password"
    fi
fi
is_current "$(package)" || packaging/build_deb.sh amd64
exec $python -m tests.vm "$(package)" "${image[@]}"
