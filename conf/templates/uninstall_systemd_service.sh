#!/bin/sh
# Stop, disable and remove the systemd service @SERVICE@ (@TITLE@).  The data stay where they are.
set -eu

if [ "$(id -u)" -ne 0 ]; then
    echo "$0: must run as root: sudo $0" >&2
    exit 1
fi

unit=${LITEDFS_UNIT_DIR:-/etc/systemd/system}/@SERVICE@.service
if [ ! -e "$unit" ]; then
    echo "$0: $unit is not installed" >&2
    exit 1
fi
systemctl disable --now @SERVICE@
rm -f "$unit"
systemctl daemon-reload
echo "removed $unit; configuration and data are still in @DIRECTORY@"
