#!/bin/sh
# Update Weir without losing a request, as root, from a clone of the version: update.sh 1.1.0
#
# The version gets an environment of its own beside the one before. To go back: update.sh --back 1.0.0,
# which leaves the database, the worker and the scheduler as they are.
set -eu

back=
if [ "${1:-}" = --back ]; then back=yes; shift; fi
version=${1:?is not given. Name a version: update.sh 1.1.0}
home=/opt/weir/$version
tree=$(cd "$(dirname "$0")/../.." && pwd)
# Extras and extensions, which the environment before has too.
packages=/etc/weir/requirements.txt

if [ ! -x "$home/bin/weir" ]; then
    grep -qx "version = \"$version\"" "$tree/pyproject.toml" || {
        echo "$tree is not version $version. Check that version out." >&2
        exit 1
    }
    [ -e "$packages" ] || packages=/dev/null
    python3 -m venv "$home"
    "$home/bin/pip" install --quiet "$tree" --requirement "$packages" || { rm -rf "$home"; exit 1; }
elif [ -z "$back" ] && [ -e "$packages" ]; then
    # What was added since, such as the extra without which the version did not start.
    "$home/bin/pip" install --quiet --requirement "$packages"
fi
before=$(readlink /opt/weir/current || true)
ln -sfn "$home" /opt/weir/current

# A unit that does not start leaves the version before to all that start from now on.
restart() {
    systemctl restart "$1" && return
    echo "$1 does not start as version $version. Look at: journalctl --unit $1" >&2
    if [ -n "$before" ]; then
        ln -sfn "$before" /opt/weir/current
        echo "/opt/weir/current is $before again. Solve the problem, and run this command again." >&2
        # An older version must not prepare.
        if [ "$1" != weir-prepare.service ]; then systemctl restart "$1"; fi
    fi
    exit 1
}

if [ -z "$back" ]; then
    # The web processes of the version before serve meanwhile. A second machine has no weir-prepare and
    # no weir-beat.
    for unit in weir-prepare weir-worker weir-beat; do
        if systemctl cat "$unit.service" >/dev/null 2>&1; then
            restart "$unit.service"
        else
            echo "This machine has no $unit.service."
        fi
    done
fi
# One after the other: each lets its streams end, and the next one waits until it is ready.
for unit in $(systemctl list-units --plain --no-legend 'weir-web@*.service' | cut -d ' ' -f 1); do
    restart "$unit"
done
