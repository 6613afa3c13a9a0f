#!/bin/sh
# Runs as root in the guest, or here: the checks, in a folder of their own.
files=$(dirname "$(readlink -f "$0")")/in
work=$(mktemp -d)
cd "$work" || exit 1
PYTHONPATH=$files "${OUTRIDER_PYTHON:-python3}" -B -m vm.checks "$files"
status=$?
rm -rf "$work"
exit $status
