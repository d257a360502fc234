#!/bin/sh
# Process 1 of the guest, twice: first in the host's root file system as virtiofs shows it, read-only; then in a layer
# of memory over it. `settings`, beside this file, says what is to run.
here=$(dirname "$0")
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
. "$here/settings"

enter_layer() {
    mount -t proc proc /proc
    mount -t tmpfs tmpfs /run
    modprobe -d "$guest_kernel" overlay
    mkdir /run/upper /run/work /run/root
    mount -t overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work overlay /run/root
    cd /run/root || exit 1
    mkdir -p .host
    # Not chroot alone: the kernel looks for the modules that it loads by itself in the root of its own threads.
    pivot_root . .host
    exec chroot . /bin/sh "$0" layered
}

mount_all() {
    umount -l /.host
    rmdir /.host
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t devtmpfs devtmpfs /dev
    mkdir -p /dev/pts /dev/shm
    mount -t devpts devpts /dev/pts
    mount -t tmpfs tmpfs /dev/shm
    # Whoever opens it has its module loaded. On a whole system udev makes it.
    mkdir /dev/net
    mknod -m 600 /dev/net/tun c 10 200
    mount -t tmpfs tmpfs /run
    mount -t virtiofs target "$guest_target"
    mkdir -p /lib/modules
    ln -sfn "$guest_kernel/lib/modules/$(uname -r)" "/lib/modules/$(uname -r)"
}

# `port NUMBER`: the device of a channel to the host. There is one family of them, numbered among all virtio devices; they
# appear a moment after it.
port() {
    until [ -e /dev/vport*p"$1" ]; do
        sleep 0.05
    done
    echo /dev/vport*p"$1"
}

# `forward PIPE PORT COUNT`: what comes out of PIPE goes to the host, and its length into COUNT in the end.
forward() {
    tee "$2" <"$1" | wc -c >"$3" &
}

# In a namespace of processes, so that what is left of the command ends with it.
perform() {
    mkfifo /run/stdout /run/stderr
    forward /run/stdout "$(port 2)" /run/stdout.length
    forward /run/stderr "$(port 3)" /run/stderr.length
    unshare --pid --fork --mount-proc sh -c 'cd "$0" && "$@"; exit $?' "$guest_folder" "$@" \
        </dev/null >/run/stdout 2>/run/stderr
    status=$?
    wait
}

if [ "${1-}" != layered ]; then
    enter_layer
fi
mount_all
ip link set lo up
exec 3>"$(port 1)"
read -r uptime _ </proc/uptime
echo "up $uptime $(uname -r)" >&3
eval "set -- $guest_command"
perform "$@"
sync
echo "exit $status $(cat /run/stdout.length) $(cat /run/stderr.length)" >&3
# The host ends the machine once it has all output.
exec sleep infinity
