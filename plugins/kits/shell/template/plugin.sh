#!/bin/sh
# A Reactor plugin: one JSON value on stdin, one on stdout. sed takes the numbers out; jq does it better where it is.
request=$(cat)
field() { printf '%s' "$request" | sed -n "s/.*\"$1\":\(-\{0,1\}[0-9][0-9]*\).*/\1/p"; }

case "$request" in
*'"action":"double"'*)
	printf '{"result": {"result": %d}}' $(($(field value) * 2))
	;;
*'"trigger":"ticks"'*)
	next=$(($(field cursor) + 1))
	if [ "$next" -gt "$(field count)" ]; then
		printf '{"events": [], "cursor": %d}' $((next - 1))
	else
		printf '{"events": [{"data": {"n": %d}, "key": "%d"}], "cursor": %d}' "$next" "$next" "$next"
	fi
	;;
*)
	printf '{"error": {"type": "plugin.unknown", "message": "there is no such action or trigger"}}'
	;;
esac
