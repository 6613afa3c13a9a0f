#!/usr/bin/env bash
# build_image.sh SUITE IMAGE: a Debian root file system (ext4) for user-mode Linux, made once and then kept. Needs root.
#
# The guest boots to multi-user, mounts the folder that the kernel argument vmshare names (hostfs) at /job, runs
# /job/run there, leaves its exit status in /job/status and powers off. No network, no ssh, no login.
set -euo pipefail
readonly suite=$1 image=$2
readonly packages=systemd,systemd-sysv,udev,dbus,kmod,procps,iproute2,e2fsprogs,can-utils,python3,mosquitto,ca-certificates

work=$(mktemp -d "$(dirname "$image")/building.XXXXXX")
trap 'rm -rf "$work"' EXIT
readonly work root=$work/root

export DEBIAN_FRONTEND=noninteractive
mmdebstrap --quiet --variant=minbase --mode=root --components=main --include="$packages" \
    --aptopt='Apt::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$root"

echo guest >"$root/etc/hostname"
echo '127.0.0.1 localhost guest' >"$root/etc/hosts"
echo '/dev/root / auto rw,noatime 0 1' >"$root/etc/fstab"
echo uninitialized >"$root/etc/machine-id"
printf 'vcan\ncan-raw\n' >"$root/etc/modules-load.d/can.conf"

cat >"$root/usr/local/sbin/vm-job" <<'JOB'
#!/bin/sh
for word in $(cat /proc/cmdline); do
    case $word in vmshare=*) share=${word#vmshare=} ;; vmtty=*) tty=/dev/${word#vmtty=} ;; esac
done
mkdir -p /job && mount -t hostfs -o "$share" none /job
stty raw -echo <"$tty"
exec >"$tty" 2>&1
cut -d' ' -f1 /proc/uptime >/job/booted
cd /root && HOME=/root setsid -w /job/run </dev/null
echo $? >/job/status.new && mv /job/status.new /job/status && sync
systemctl --force --force --no-wall poweroff >/dev/null 2>&1
JOB
chmod 755 "$root/usr/local/sbin/vm-job"
cat >"$root/etc/systemd/system/vm-job.service" <<'UNIT'
[Unit]
Description=Job given by the host
After=multi-user.target
[Service]
ExecStart=/usr/local/sbin/vm-job
KillMode=process
UNIT
cat >"$root/etc/systemd/system/vm-job.target" <<'UNIT'
[Unit]
Description=Boot, then run the job
Requires=multi-user.target
Wants=vm-job.service
After=multi-user.target
AllowIsolate=yes
UNIT
ln -sf vm-job.target "$root/etc/systemd/system/default.target"
for unit in getty.target console-getty.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer mosquitto.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*

# The modules of the kernel that the host runs as a process, and those it lacks.
for kernel in /usr/lib/uml/modules/*; do
    release=$(basename "$kernel")
    mkdir -p "$root/usr/lib/modules"
    cp -a "$kernel" "$root/usr/lib/modules/"
    if tests/vm/build_modules.sh "$release" "$work"; then
        mkdir -p "$root/usr/lib/modules/$release/extra"
        mv "$work"/*.ko "$root/usr/lib/modules/$release/extra/"
    else
        echo "no can-isotp and no simulated IMU for $release: what needs them will be skipped" >&2
    fi
    chroot "$root" depmod "$release"
done

mke2fs -q -t ext4 -O ^metadata_csum -m 0 -L root -d "$root" "$work/image" 3G >/dev/null
mv "$work/image" "$image"
chmod 644 "$image"
