#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An nginx with a worker on a unix socket; curl asks it for files.
steps=$1
# The last steps are not made before the test has done what it wants (step.h)
hold() { [ -z "${STEP_HOLD:-}" ] || until [ -e "${STEP_HOLD#*:}" ]; do sleep 0.01; done; }
mkdir -p tmp
cat >nginx.conf <<C
user $(id -un) $(id -gn); daemon off; worker_processes 1; pid nginx.pid; error_log stderr error;
events { }
http {
	access_log off; server_tokens off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
	server { listen unix:$PWD/nginx.sock; root $PWD; location /status { return 200 "\$uri\\n"; } }
}
C
nginx -p "$PWD" -e stderr -c nginx.conf &
server=$!
get() { curl -s --unix-socket nginx.sock "http://here/$1"; }
until [ "$(get status/up)" = /status/up ]; do sleep 0.05; done
for ((step = 0; step < steps; step++)); do
	if [ $step = $((steps - 2)) ]; then hold; fi
	# One file for each step: what is in a file that is closed is not the checkpoint's
	for ((i = 0; i < 200; i++)); do echo "$((step * i * 7919 % 10007))"; done >data.$step
	echo "step $step $(get "data.$step" | cksum) $(get "data.$((step / 2))" | cksum) $(get "status/$step")"
done
kill -QUIT $server
wait $server
echo "end, status $?"
