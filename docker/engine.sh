#!/bin/sh
# A Docker Engine for machines that start none of their own (CI, containers, minimal servers).
#
#   docker/engine.sh start    start dockerd when no engine answers; do nothing when one does
#   docker/engine.sh stop     end the engine that `start` started; never another one
#
# Needs root and Debian's docker.io, and cgroupfs-mount where nothing mounts the control groups. Desktop and server
# installations start their own engine and never need this.
set -eu

state=/run/hopsack-engine # of root alone, unlike /tmp
log="$state/dockerd.log"
pidfile="$state/dockerd.pid"

# `docker info` exits 0 without a server in some clients; the server's version cannot be printed without one.
answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

refuse() {
    echo "docker/engine.sh: $1" >&2
    exit 1
}

start() {
    if answers; then
        echo "docker/engine.sh: an engine already answers" >&2
        return
    fi
    command -v dockerd >/dev/null || refuse "there is no dockerd here; install docker.io (apt-get install docker.io)"
    [ "$(id -u)" = 0 ] || refuse "dockerd needs root; start the engine yourself or run this as root"
    mkdir -p "$state"
    # Where no init system has mounted the control groups; Debian's package brings the command.
    mountpoint -q /sys/fs/cgroup || cgroupfs-mount
    # Its own session: a Ctrl-C meant for a test run must not take the engine with it.
    setsid dockerd --pidfile "$pidfile" >"$log" 2>&1 </dev/null &
    launched=$!
    waited=0
    until answers; do
        kill -0 "$launched" 2>/dev/null || { tail -n 20 "$log" >&2; refuse "dockerd ended; its log is $log"; }
        [ "$waited" -lt 60 ] || { tail -n 20 "$log" >&2; refuse "dockerd did not answer in 60 s; its log is $log"; }
        sleep 1
        waited=$((waited + 1))
    done
    echo "docker/engine.sh: dockerd answers (log: $log)" >&2
}

stop() {
    [ -s "$pidfile" ] || return 0
    pid="$(cat "$pidfile")"
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || { rm -f "$pidfile"; return 0; }
    kill "$pid"
    waited=0
    while kill -0 "$pid" 2>/dev/null; do
        [ "$waited" -lt 30 ] || refuse "dockerd ($pid) did not end in 30 s; its log is $log"
        sleep 1
        waited=$((waited + 1))
    done
    rm -f "$pidfile"
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    *)
        echo "usage: docker/engine.sh start|stop" >&2
        exit 2
        ;;
esac
