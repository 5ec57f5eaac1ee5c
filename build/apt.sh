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
# Servers that the tests run themselves must not be started by their packages (invoke-rc.d asks this file).
policy=/usr/sbin/policy-rc.d
made=""
if [ ! -e "$policy" ]; then
    made=yes
    printf '#!/bin/sh\nexit 101\n' | $as tee "$policy" >/dev/null
    $as chmod 755 "$policy"
fi
status=0
{ $as apt-get update -qq && $as apt-get install -y -qq --no-install-recommends "$@"; } || status=$?
[ -z "$made" ] || $as rm -f "$policy"
exit $status
