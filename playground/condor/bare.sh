#!/bin/bash
# PID 1 of a bare pool, in new mount, PID and UTS namespaces: bare.sh ROOTFS STATE [CVMFS]
# Makes STATE/root its root, prints its process id as the caller sees it, and ends with its standard input.
# With it the kernel ends every process of the pool and takes the mounts away.
set -eu
rootfs=$1 state=$2 cvmfs=${3:-}
read -r pid _ < /proc/self/stat # still the caller's /proc, so the caller's number

mount --make-rprivate /
root=$state/root
mkdir -p "$root" "$state/upper" "$state/work"
mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$state/upper,workdir=$state/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for stream in stdin:0 stdout:1 stderr:2; do # Apptainer refuses to start without them
  ln -s "/proc/self/fd/${stream#*:}" "$root/dev/${stream%:*}"
done
for device in null zero full random urandom tty fuse; do
  [ -e "/dev/$device" ] || continue
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
if [ -n "$cvmfs" ]; then
  mount --bind "$cvmfs" "$root/cvmfs"
  mount -o remount,bind,ro "$root/cvmfs"
fi

hostname condor
echo "127.0.0.1 condor localhost" > "$root/etc/hosts"
mkdir "$root/mnt/host"
cd "$root"
pivot_root . mnt/host
umount -l /mnt/host

echo "$pid"
read -r _ || true # never comes: the end of the input is the end of the pool
