#!/usr/bin/env bash
# build_modules.sh RELEASE FOLDER: what Debian's user-mode Linux lacks, as modules: can-isotp.ko, which is the one CAN
# protocol it does not have, and simulated_imu.ko, a simulated chip behind the kernel's own IIO (tests/vm/chip).
# From the source package of the very same version, configured as linux.uml says it is. About a minute; fails where that
# version's source or a compiler is not to be had.
set -euo pipefail
readonly release=$1 folder=$2 series=${1%.*}
chip=$(cd "$(dirname "$0")/chip" && pwd)
work=$(mktemp -d "$folder/modules.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

type gcc make flex bison bc >/dev/null 2>&1 || DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
    --no-install-recommends gcc libc6-dev make flex bison bc xz-utils >/dev/null
version=$(apt-cache madison "linux-source-$series" | awk -v want="$release-" 'index($3, want) == 1 { print $3; exit }')
[ -n "$version" ] || { echo "apt has no linux-source-$series of $release" >&2; exit 1; }
apt-get -qq -o APT::Sandbox::User=root download "linux-source-$series=$version"
# Kconfig needs every folder, the compiler only net/can, the headers and what all modules share.
dpkg-deb --fsys-tarfile ./*.deb | tar -xO "./usr/src/linux-source-$series.tar.xz" | xz -d -T0 | tar -x \
    --strip-components=1 --exclude='*/drivers/*.[ch]' --exclude='*/sound/*.[ch]' --exclude='*/fs/*.[ch]' \
    --exclude='*/Documentation/*.*' --exclude='*/tools/testing' --exclude='*/dts/*'
linux.uml --showconfig >.config
echo CONFIG_CAN_ISOTP=m >>.config
export ARCH=um SUBARCH=x86_64 KBUILD_MODPOST_WARN=1 # what modules call is in the kernel, of which no list is shipped
cp -r "$chip" chip
{
    make -s olddefconfig
    make -s modules_prepare
    make -s M=net/can modules
    make -s M="$work/chip" modules
} >build.log 2>&1 || { tail -5 build.log >&2; exit 1; }
cp net/can/can-isotp.ko chip/simulated_imu.ko "$folder/"
