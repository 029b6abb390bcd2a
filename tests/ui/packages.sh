#!/bin/sh
# Installs what the tests of the page need from npm into the current directory, once.
# usage: packages.sh NODE NPM CHROMIUM
set -eu
node=$1 npm=$2 chromium=$3

for program in "$node" "$npm" "$chromium"; do
    [ -x "$program" ] || {
        echo "Node.js, npm or Chromium is missing: sh tests/packages.sh installs them." >&2
        echo "To do without these tests: cmake -DHOT_BACKUP_UI_TESTS=OFF" >&2
        exit 1
    }
done

# What is there is known by a copy of the lock file that it came from.
if ! cmp -s package-lock.json node_modules/.installed; then
    "$npm" ci --no-audit --no-fund
    cp package-lock.json node_modules/.installed
fi
"$node" -e 'require(process.cwd() + "/node_modules/playwright-core")'
echo "ready"
