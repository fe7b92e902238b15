#!/bin/sh
# Install and enable the systemd service @SERVICE@ (@TITLE@), to run as USER and GROUP.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: $0 USER GROUP" >&2
    exit 2
fi
user=$1
group=$2

if [ "$(id -u)" -ne 0 ]; then
    echo "$0: must run as root: sudo $0 $user $group" >&2
    exit 1
fi
id -u "$user" >/dev/null 2>&1 || { echo "$0: no user $user" >&2; exit 1; }
getent group "$group" >/dev/null || { echo "$0: no group $group" >&2; exit 1; }

directory='@DIRECTORY@'
unit=${LITEDFS_UNIT_DIR:-/etc/systemd/system}/@SERVICE@.service

sed -e "s|@""USER@|$user|" -e "s|@""GROUP@|$group|" "$directory/@SERVICE@.service" >"$unit.new"
mv "$unit.new" "$unit"
chown -R "$user:$group" "$directory"
systemctl daemon-reload
systemctl enable @SERVICE@
echo "installed $unit; start it with: systemctl start @SERVICE@"
