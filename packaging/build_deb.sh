#!/usr/bin/env bash
# Builds dist/outrider_VERSION_ARCH.deb for each architecture named (default: amd64 arm64).
# Wheels for the target are downloaded and unpacked; nothing of the target is executed.
# The Python of the target is that of this .venv: build on (or with the Python of) the Debian release you install on.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly python=.venv/bin/python
version=$($python -c 'import agent; print(agent.__version__)')
series=$($python -c 'import sys; print(f"{sys.version_info[0]}.{sys.version_info[1]}")')
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) # the same commit gives the same package
readonly version series
export SOURCE_DATE_EPOCH

fail() { echo "build_deb: $*" >&2; exit 1; }

wheels() { # ARCH FOLDER
    local machine tag platforms=()
    case $1 in
        amd64) machine=x86_64 ;;
        arm64) machine=aarch64 ;;
        *) fail "unknown architecture $1: amd64 or arm64" ;;
    esac
    # From the newest glibc that Debian 12 (2.36) has down to the oldest tags still in use.
    for tag in 2_34 2_31 2_28 2_27 2_26 2_24 2_17; do platforms+=(--platform "manylinux_${tag}_$machine"); done
    platforms+=(--platform "manylinux2014_$machine")
    $python -m pip install --quiet --disable-pip-version-check --target "$2" --no-compile --no-deps --require-hashes \
        --only-binary=:all: "${platforms[@]}" --python-version "$series" --implementation cp \
        --abi "cp${series/./}" --abi abi3 --abi none -r packaging/requirements.lock
    rm -rf "$2/bin"
    find "$2" -type d -name tests -prune -exec rm -rf {} +
}

sources() { # FOLDER
    local part
    for part in agent drivers fleet simulators models firmware_config; do
        git ls-files -z --cached --others --exclude-standard -- "$part" | xargs -0 -I{} install -D -m 644 {} "$1/{}"
    done
}

# A wheel of the wrong machine or a leftover of this one would only be noticed in the car.
verify() { # FOLDER ARCH
    local odd file machine
    odd=$(find "$1" \( -name '*.pyc' -o -name tests -o -perm /022 ! -type l \) -print -quit)
    [ -z "$odd" ] || fail "does not belong into a package: $odd"
    case $2 in amd64) machine=3e00 ;; arm64) machine=b700 ;; esac # e_machine of ELF
    find "$1" -type f \( -name '*.so' -o -name '*.so.*' \) | while read -r file; do
        [ "$(od -An -tx1 -j18 -N2 "$file" | tr -d ' ')" = "$machine" ] || fail "not for $2: $file"
    done
}

launcher() { # NAME MODULE
    install -D -m 755 packaging/debian/outrider.sh "$root/opt/outrider/bin/$1"
    sed -i "s/@PYTHON@/python$series/; s/@MODULE@/$2/" "$root/opt/outrider/bin/$1"
    mkdir -p "$root/usr/bin"
    ln -s "/opt/outrider/bin/$1" "$root/usr/bin/$1"
}

build() { # ARCH
    local arch=$1 root size
    root=$(mktemp -d)
    mkdir -p "$root/opt/outrider/lib" "$root/DEBIAN"
    wheels "$arch" "$root/opt/outrider/lib"
    sources "$root/opt/outrider/lib"
    launcher outrider agent
    launcher outrider-fleet fleet
    install -D -m 644 packaging/outrider.service "$root/usr/lib/systemd/system/outrider.service"
    install -D -m 644 packaging/outrider.sysctl "$root/usr/lib/sysctl.d/60-outrider.conf"
    install -D -m 644 packaging/outrider.udev "$root/usr/lib/udev/rules.d/60-outrider.rules"
    install -D -m 644 packaging/80-can.network "$root/usr/share/doc/outrider/80-can.network"
    install -D -m 644 packaging/outrider.toml "$root/etc/outrider/outrider.toml"
    install -D -m 644 LICENSE "$root/usr/share/doc/outrider/copyright"
    size=$(du -sk --exclude=DEBIAN "$root" | cut -f1)
    install -m 644 packaging/debian/control packaging/debian/conffiles "$root/DEBIAN/"
    install -m 755 packaging/debian/postinst packaging/debian/prerm packaging/debian/postrm "$root/DEBIAN/"
    sed -i "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@PYTHON@/python$series/; s/@SIZE@/$size/" "$root"/DEBIAN/{control,postinst}
    chmod -R u+rwX,go+rX,go-w "$root"
    verify "$root" "$arch"
    mkdir -p dist
    dpkg-deb --root-owner-group -Zxz -z3 --build "$root" "dist/outrider_${version}_$arch.deb"
    rm -rf "$root"
}

[ $# -gt 0 ] || set -- amd64 arm64
for arch in "$@"; do build "$arch"; done
