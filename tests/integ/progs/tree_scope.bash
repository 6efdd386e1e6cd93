# A script and a job of it, which end when the file "go" comes; with an argument the job leads a process group of its own
if [ -n "${1:-}" ]; then set -m; fi
/bin/bash -c 'until [ -e go ]; do /bin/sleep 0.05; done; exit 7' &
echo ready
until [ -e go ]; do /bin/sleep 0.05; done
wait $!
echo "end $?"
