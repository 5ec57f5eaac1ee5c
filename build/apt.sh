#!/bin/sh
# Installs Debian packages as root or through sudo; otherwise names them.
set -eu
export DEBIAN_FRONTEND=noninteractive
if [ "$(id -u)" = 0 ]; then
    as=""
elif sudo -n true 2>/dev/null; then
    as="sudo -n"
else
    echo "please install: $*   (apt-get install $*)" >&2
    exit 1
fi
$as apt-get update -qq
$as apt-get install -y -qq --no-install-recommends "$@"
